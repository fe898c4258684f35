package main

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsapigatewayv2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/jsii-runtime-go"

	"footfall/infra/watch"
	"footfall/shared/pipeline"
)

// routes are what is let in from the internet, by their constructs: what
// senders post, and how Meraki asks whether the address is right. Everything
// else is answered 404 and reaches no code of ours.
var routes = map[string]string{
	"PostRoute": "POST /v1/{business}/{kind}",
	"AskRoute":  "GET /v1/{business}/{kind}",
}

// stageName of an API is no part of its addresses when it is this one.
const stageName = "$default"

// answerMargin is how long before the function's timeout the API gives up. The
// function answers two seconds before it, so what has no answer by then gets
// none, and the sender need not wait for the rest.
const answerMargin = time.Second

// letPostsIn makes the HTTP API that calls ingest. It is made of the plain
// resources: the constructs would allow it to be called by every route of every
// method, and would make a stage whose log has addresses of networks in it.
func (p *pipelineStack) letPostsIn(spec pipeline.Stage, alias awslambda.Alias) *watch.API {
	logs := logGroup(p.deployment, p.stack, "PostLogs", "/"+p.set.Name+"/posts", p.state.key)
	api := awsapigatewayv2.NewCfnApi(p.stack, jsii.String("Api"), &awsapigatewayv2.CfnApiProps{
		Name: &p.set.Name, ProtocolType: jsii.String("HTTP"), Description: jsii.String("Footfall: " + spec.Does),
	})
	integration := awsapigatewayv2.NewCfnIntegration(p.stack, jsii.String("ApiToIngest"), &awsapigatewayv2.CfnIntegrationProps{
		ApiId: api.AttrApiId(), IntegrationType: jsii.String("AWS_PROXY"), IntegrationUri: alias.FunctionArn(),
		PayloadFormatVersion: jsii.String("2.0"), TimeoutInMillis: jsii.Number((spec.Timeout - answerMargin).Milliseconds()),
	})
	for _, name := range slices.Sorted(maps.Keys(routes)) {
		p.route(api, integration, name, alias)
	}
	p.stage(api, logs)
	awscdk.NewCfnOutput(p.stack, jsii.String("PostsTo"), &awscdk.CfnOutputProps{
		Value:       awscdk.Fn_Join(jsii.String(""), &[]*string{api.AttrApiEndpoint(), jsii.String("/v1/{business}/{kind}")}),
		Description: jsii.String("What routers post to"),
	})
	return &watch.API{ID: api.AttrApiId(), Logs: logs}
}

// route adds a route, and lets it call the function. The permission names the
// route with a * for each variable of its path, which stands for the variable
// and for its value, and for the one stage: no other route has such a path.
func (p *pipelineStack) route(api awsapigatewayv2.CfnApi, integration awsapigatewayv2.CfnIntegration, name string, alias awslambda.Alias) {
	awsapigatewayv2.NewCfnRoute(p.stack, &name, &awsapigatewayv2.CfnRouteProps{
		ApiId: api.AttrApiId(), RouteKey: jsii.String(routes[name]), AuthorizationType: jsii.String("NONE"),
		Target: awscdk.Fn_Join(jsii.String("/"), &[]*string{jsii.String("integrations"), integration.Ref()}),
	})
	method, path, _ := strings.Cut(routes[name], " ")
	path = strings.NewReplacer("{business}", "*", "{kind}", "*").Replace(path)
	awslambda.NewCfnPermission(p.stack, jsii.String(name+"May"), &awslambda.CfnPermissionProps{
		Action: jsii.String("lambda:InvokeFunction"), FunctionName: alias.FunctionArn(), Principal: jsii.String("apigateway.amazonaws.com"),
		SourceArn: p.stack.FormatArn(&awscdk.ArnComponents{
			Service: jsii.String("execute-api"), Resource: api.AttrApiId(), ResourceName: jsii.String("*/" + method + path),
		}),
	})
}

// stage makes the API's one stage, which is at once what its routes are.
func (p *pipelineStack) stage(api awsapigatewayv2.CfnApi, logs awslogs.LogGroup) {
	posts := p.set.PostsOf(p.size)
	awsapigatewayv2.NewCfnStage(p.stack, jsii.String("ApiStage"), &awsapigatewayv2.CfnStageProps{
		ApiId: api.AttrApiId(), StageName: jsii.String(stageName), AutoDeploy: true,
		DefaultRouteSettings: &awsapigatewayv2.CfnStage_RouteSettingsProperty{
			ThrottlingRateLimit: jsii.Number(posts.Rate), ThrottlingBurstLimit: jsii.Number(posts.Burst),
		},
		AccessLogSettings: &awsapigatewayv2.CfnStage_AccessLogSettingsProperty{
			DestinationArn: logs.LogGroupArn(), Format: jsii.String(watch.AccessLog),
		},
	})
}
