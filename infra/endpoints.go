package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/jsii-runtime-go"
)

// https is the port of AWS's services.
const https = 443

// endpoints lets the network reach the AWS services that are called from in it,
// and no other. Functions call DynamoDB. Logs, traces and what Lambda does with
// a role do not go through the functions' network.
func (n *network) endpoints(d *deployment, stack awscdk.Stack, look *lookups) {
	n.gateway(d, stack, look, "DynamoDb", "dynamodb", awsec2.GatewayVpcEndpointAwsService_DYNAMODB(),
		// Beside the functions it is people who go through: with the audit and to
		// forget somebody.
		may("Tables", append(tableActions(), "dynamodb:Scan", "dynamodb:DeleteItem"), stack.FormatArn(&awscdk.ArnComponents{
			Service: jsii.String("dynamodb"), Resource: jsii.String("table"), ResourceName: jsii.String(d.prefix() + "*"),
		})))
	if d.serverless() {
		// CloudFormation waits for the answer of the function topics in a bucket of
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

// secretsEndpoint lets ingest read the keys of the pseudonyms, and nobody read
// another secret. An environment reads them once, as it starts: without the
// endpoint those that are up go on, and none comes up. So it lies in three zones,
// or the two of an existing cluster; with size dev, as its other endpoints, in one.
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
		ResourceName: jsii.String(d.pseudonymKeysName() + "-??????"), // as Secrets Manager ends the names of ARNs
	}))
	keys.AddAnyPrincipal()
	subnets := *n.vpc.SelectSubnets(n.subnets).Subnets
	n.vpc.AddInterfaceEndpoint(jsii.String("Secrets"), &awsec2.InterfaceVpcEndpointOptions{
		Service: awsec2.InterfaceVpcEndpointAwsService_SECRETS_MANAGER(), Open: jsii.Bool(false), PrivateDnsEnabled: jsii.Bool(true),
		SecurityGroups: &[]awsec2.ISecurityGroup{group},
		Subnets:        &awsec2.SubnetSelection{Subnets: new(subnets[:min(len(subnets), d.size.SecretsZones())])},
	}).AddToPolicy(keys)
}

// gateway makes a gateway endpoint, which costs nothing, and lets the functions
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
		return // the VPC has one
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

// pollerEndpoints are for pollers on demand, which call Lambda and STS from the
// cluster's subnets with the cluster's group. Provisioned pollers need neither,
// nor does anything else. They lie in one zone: an endpoint costs by the hour and
// zone, and the other zones reach it.
//
// Through them goes Lambda itself, in its own name, and only with a policy that
// is for all resources (AWS Lambda developer guide, "Configuring AWS PrivateLink
// endpoints for an MSK event source"): one that names functions or roles leaves
// the mapping without a poll.
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
