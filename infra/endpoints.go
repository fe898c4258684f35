package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/jsii-runtime-go"
)

// https is the port of AWS services.
const https = 443

// endpoints gives the network access to the AWS services that are called from it,
// and to no other service. Functions call DynamoDB. Logs, traces and Lambda's use of
// a role do not pass through the functions' network.
func (n *network) endpoints(d *deployment, stack awscdk.Stack, look *lookups) {
	n.gateway(d, stack, look, "DynamoDb", "dynamodb", awsec2.GatewayVpcEndpointAwsService_DYNAMODB(),
		// Apart from functions, operators use the endpoint, with audit and forget.
		may("Tables", append(tableActions(), "dynamodb:Scan", "dynamodb:DeleteItem"), stack.FormatArn(&awscdk.ArnComponents{
			Service: jsii.String("dynamodb"), Resource: jsii.String("table"), ResourceName: jsii.String(d.prefix() + "*"),
		})))
	if d.serverless() {
		// CloudFormation expects the answer of the function topics in a bucket of
		// its own (AWS CloudFormation user guide, "Set up VPC endpoints").
		n.gateway(d, stack, look, "S3", "s3", awsec2.GatewayVpcEndpointAwsService_S3(),
			may("Answers", []string{"s3:PutObject"}, stack.FormatArn(&awscdk.ArnComponents{
				Service: jsii.String("s3"), Region: jsii.String(""), Account: jsii.String(""),
				Resource: jsii.String("cloudformation-custom-resource-response-*"), ResourceName: jsii.String("*"),
			})))
	}
	if d.onDemand() {
		n.pollerEndpoints(d, stack)
	}
	n.secretsEndpoint(d, stack)
}

// secretsEndpoint allows ingest to read the pseudonym keys, and no principal to read
// another secret. An environment reads the keys once, when it starts: without the
// endpoint running environments go on, and no new environment starts. So the
// endpoint has three zones, or the two of an existing cluster; with size dev one
// zone, like the other endpoints of that size.
func (n *network) secretsEndpoint(d *deployment, stack awscdk.Stack) {
	const what = "ingest reads the keys of pseudonyms"
	if of := d.set.ClusterSecretsGroup; of != "" {
		allow(n.functions, awsec2.SecurityGroup_FromSecurityGroupId(stack, jsii.String("SecretsGroup"), &of, nil), https, what)
		return
	}
	group := securityGroup(stack, n.vpc, "SecretsGroup", "Endpoint of "+d.set.Name+" for Secrets Manager")
	allow(n.functions, group, https, what)
	keys := may("PseudonymKeys", []string{"secretsmanager:GetSecretValue"}, stack.FormatArn(&awscdk.ArnComponents{
		Service: jsii.String("secretsmanager"), Resource: jsii.String("secret"), ArnFormat: awscdk.ArnFormat_COLON_RESOURCE_NAME,
		ResourceName: jsii.String(d.pseudonymKeysName() + "-??????"), // Secrets Manager appends 6 characters to ARNs
	}))
	keys.AddAnyPrincipal()
	subnets := *n.vpc.SelectSubnets(n.subnets).Subnets
	n.vpc.AddInterfaceEndpoint(jsii.String("Secrets"), &awsec2.InterfaceVpcEndpointOptions{
		Service: awsec2.InterfaceVpcEndpointAwsService_SECRETS_MANAGER(), Open: jsii.Bool(false), PrivateDnsEnabled: jsii.Bool(true),
		SecurityGroups: &[]awsec2.ISecurityGroup{group},
		Subnets:        &awsec2.SubnetSelection{Subnets: new(subnets[:min(len(subnets), d.size.SecretsZones())])},
	}).AddToPolicy(keys)
}

// gateway adds a gateway endpoint, which is free of charge, and allows the functions
// through it.
func (n *network) gateway(d *deployment, stack awscdk.Stack, look *lookups, name, service string,
	kind awsec2.GatewayVpcEndpointAwsService, allowed awsiam.PolicyStatement,
) {
	n.functions.AddEgressRule(awsec2.Peer_PrefixList(look.prefixList(name, service)),
		awsec2.Port_Tcp(jsii.Number(https)), jsii.String(name+" through its gateway endpoint"), nil)
	allowed.AddAnyPrincipal()
	if !d.set.Existing() {
		n.vpc.AddGatewayEndpoint(jsii.String(name), &awsec2.GatewayVpcEndpointOptions{Service: kind}).AddToPolicy(allowed)
		return
	}
	if len(d.set.ClusterRouteTables) == 0 {
		return // the VPC has such an endpoint already
	}
	var tables []any
	for _, t := range d.set.ClusterRouteTables {
		tables = append(tables, t)
	}
	awsec2.NewCfnVPCEndpoint(stack, jsii.String(name), &awsec2.CfnVPCEndpointProps{
		ServiceName:     awscdk.Fn_Join(jsii.String(""), jsii.Strings("com.amazonaws.", *stack.Region(), "."+service)),
		VpcId:           n.vpc.VpcId(),
		VpcEndpointType: jsii.String("Gateway"),
		RouteTableIds:   &tables,
		PolicyDocument:  document(allowed),
	})
}

// pollerEndpoints adds the endpoints for pollers on demand, which call Lambda and
// STS from the cluster's subnets with the cluster's group. Provisioned pollers need
// neither, nor does anything else. The endpoints lie in one zone: an endpoint costs
// by the hour and zone, and other zones reach it.
//
// Lambda itself uses the endpoints, in its own name, and only with a policy for all
// resources (AWS Lambda developer guide, "Configuring AWS PrivateLink endpoints for
// an MSK event source"): with a policy that names functions or roles the mapping
// never polls.
func (n *network) pollerEndpoints(d *deployment, stack awscdk.Stack) {
	group := securityGroup(stack, n.vpc, "EndpointsGroup", "Endpoints for the pollers of "+d.set.Name)
	allow(n.cluster, group, https, "pollers on demand call Lambda and STS")
	for _, e := range []struct {
		name    string
		service awsec2.IInterfaceVpcEndpointService
		allowed awsiam.PolicyStatement
	}{
		{"Lambda", awsec2.InterfaceVpcEndpointAwsService_LAMBDA(), may("Invoke", []string{"lambda:InvokeFunction"}, jsii.String("*"))},
		{"Sts", awsec2.InterfaceVpcEndpointAwsService_STS(), may("Assume", []string{"sts:AssumeRole"}, jsii.String("*"))},
	} {
		e.allowed.AddPrincipals(lambdaPrincipal())
		n.vpc.AddInterfaceEndpoint(jsii.String(e.name), &awsec2.InterfaceVpcEndpointOptions{
			Service: e.service, Open: jsii.Bool(false), PrivateDnsEnabled: jsii.Bool(true),
			SecurityGroups: &[]awsec2.ISecurityGroup{group},
			Subnets:        &awsec2.SubnetSelection{Subnets: &[]awsec2.ISubnet{(*n.vpc.IsolatedSubnets())[0]}},
		}).AddToPolicy(e.allowed)
	}
}
