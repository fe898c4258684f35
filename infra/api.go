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

// routes holds the requests that are accepted from the internet, by construct id:
// the posts of senders, and Meraki's validation of the URL. The API answers all
// other requests with 404, and no function sees them.
var routes = map[string]string{
	"PostRoute": "POST /v1/{business}/{kind}",
	"AskRoute":  "GET /v1/{business}/{kind}",
}

// stageName is the name of the API's only stage. A stage with this name is not part
// of the URL.
const stageName = "$default"

// answerMargin is the time before the function's timeout at which the API gives up.
// The function stops two seconds before its timeout, so a request without an answer
// by then never gets an answer, and the sender need not wait for the rest.
const answerMargin = time.Second

// newHTTPAPI returns the HTTP API that invokes ingest. It uses the plain resources,
// since the L2 constructs would allow every route of every method to invoke the
// function, and would create a stage whose access log holds IP addresses.
func (p *pipelineStack) newHTTPAPI(spec pipeline.Stage, alias awslambda.Alias) *watch.API {
	logs := logGroup(p.deployment, p.stack, "PostLogs", "/"+p.set.Name+"/posts", p.state.key)
	api := awsapigatewayv2.NewCfnApi(p.stack, jsii.String("Api"), &awsapigatewayv2.CfnApiProps{
		Name: &p.set.Name, ProtocolType: jsii.String("HTTP"), Description: jsii.String("Footfall: " + spec.Does),
	})
	integration := awsapigatewayv2.NewCfnIntegration(p.stack, jsii.String("ApiToIngest"), &awsapigatewayv2.CfnIntegrationProps{
		ApiId: api.AttrApiId(), IntegrationType: jsii.String("AWS_PROXY"), IntegrationUri: alias.FunctionArn(),
		PayloadFormatVersion: jsii.String("2.0"), TimeoutInMillis: jsii.Number((spec.Timeout - answerMargin).Milliseconds()),
	})
	for _, name := range slices.Sorted(maps.Keys(routes)) {
		p.addRoute(api, integration, name, alias)
	}
	p.addStage(api, logs)
	awscdk.NewCfnOutput(p.stack, jsii.String("PostsTo"), &awscdk.CfnOutputProps{
		Value:       awscdk.Fn_Join(jsii.String(""), &[]*string{api.AttrApiEndpoint(), jsii.String("/v1/{business}/{kind}")}),
		Description: jsii.String("What routers post to"),
	})
	return &watch.API{ID: api.AttrApiId(), Logs: logs}
}

// addRoute adds a route and allows the route to invoke the function. The permission
// names the route with a * for each path variable, which matches the variable and
// its value, and with the only stage: no other route has such a path.
func (p *pipelineStack) addRoute(api awsapigatewayv2.CfnApi, integration awsapigatewayv2.CfnIntegration, name string, alias awslambda.Alias) {
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

// addStage adds the API's only stage. Routes take effect in the stage at once.
func (p *pipelineStack) addStage(api awsapigatewayv2.CfnApi, logs awslogs.LogGroup) {
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
