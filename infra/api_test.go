package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"footfall/shared/pipeline"
)

// httpAPI checks that the API has the two routes that ingest knows, that both invoke
// its alias and nothing else does, and that the API's only stage limits its requests
// and logs them without IP addresses.
func httpAPI(a *assembly, f *findings) {
	specs := slices.DeleteFunc(slices.Clone(a.d.graph.Stages), func(s pipeline.Stage) bool { return !s.HTTP })
	apis := maps.Collect(a.all("AWS::ApiGatewayV2::Api"))
	f.want("pipeline", "number of HTTP APIs", len(apis), len(specs))
	for _, s := range specs {
		for where, api := range apis {
			f.want(s.Name, "protocol of its API", api.prop("ProtocolType"), "HTTP")
			f.want(s.Name, "address of its API", api.prop("DisableExecuteApiEndpoint"), nil)
			alias := a.liveOf(s.Name)
			a.checkRoutes(f, s, alias)
			a.checkCallers(f, where, alias)
			a.checkAPIStage(f, s.Name)
			a.checkURL(f, where)
		}
	}
}

// liveOf returns the alias live of a stage's function, in the form of text.
func (a *assembly) liveOf(name string) string {
	function, _, _ := a.functionOf(name)
	for where, r := range a.all("AWS::Lambda::Alias") {
		if a.text(where, r.prop("FunctionName")) == "${"+function+"}" && r.prop("Name") == live {
			return "${" + where + "}"
		}
	}
	return ""
}

func (a *assembly) checkRoutes(f *findings, s pipeline.Stage, alias string) {
	var keys []string
	for where, r := range a.all("AWS::ApiGatewayV2::Route") {
		key := fmt.Sprint(r.prop("RouteKey"))
		keys = append(keys, key)
		found := false
		for id, i := range a.all("AWS::ApiGatewayV2::Integration") {
			if a.text(where, r.prop("Target")) != "integrations/${"+id+"}" {
				continue
			}
			found = true
			f.want(key, "kind of integration", i.prop("IntegrationType"), "AWS_PROXY")
			f.want(key, "what it calls", a.text(id, i.prop("IntegrationUri")), alias)
			f.want(key, "format", i.prop("PayloadFormatVersion"), "2.0")
			// Ingest answers two seconds before its timeout at the latest.
			ms, _ := i.prop("TimeoutInMillis").(float64)
			if from, to := float64(s.Timeout.Milliseconds())-2000, float64(s.Timeout.Milliseconds()); ms <= from || ms >= to {
				f.add("%s: gives up after %v ms, and %s answers after %v or is ended after %v", key, ms, s.Name, from, to)
			}
		}
		if !found {
			f.add("%s: calls nothing", key)
		}
	}
	slices.Sort(keys)
	f.want(s.Name, "routes", keys, []string{"GET /v1/{business}/{kind}", "POST /v1/{business}/{kind}"})
}

// checkCallers checks which services may invoke functions without a role.
func (a *assembly) checkCallers(f *findings, api, alias string) {
	var sources []string
	start := "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${" + api + ".ApiId}/"
	for where, r := range a.all("AWS::Lambda::Permission") {
		f.want(where, "action", r.prop("Action"), "lambda:InvokeFunction")
		f.want(where, "caller", r.prop("Principal"), "apigateway.amazonaws.com")
		f.want(where, "function", a.text(where, r.prop("FunctionName")), alias)
		sources = append(sources, strings.TrimPrefix(a.text(where, r.prop("SourceArn")), start))
	}
	slices.Sort(sources)
	f.want("API", "routes that may call", sources, []string{"*/GET/v1/*/*", "*/POST/v1/*/*"})
}

func (a *assembly) checkAPIStage(f *findings, of string) {
	n := 0
	for where, r := range a.all("AWS::ApiGatewayV2::Stage") {
		n++
		posts := a.d.set.PostsOf(a.d.size)
		f.want("API", "stage", r.prop("StageName"), "$default")
		f.want("API", "deployment", r.prop("AutoDeploy"), true)
		f.want("API", "rate", r.prop("DefaultRouteSettings", "ThrottlingRateLimit"), posts.Rate)
		f.want("API", "burst", r.prop("DefaultRouteSettings", "ThrottlingBurstLimit"), posts.Burst)
		group := a.text(where, r.prop("AccessLogSettings", "DestinationArn"))
		logged := false
		for id, l := range a.all("AWS::Logs::LogGroup") {
			if group == "${"+id+".Arn}" {
				logged = true
				f.want("API", "its log", l.prop("LogGroupName"), "/"+a.d.set.Name+"/posts")
				f.want("API", "retention of its log", l.prop("RetentionInDays"), a.d.size.LogDays)
			}
		}
		if !logged {
			f.add("API: requests are logged to %s", group)
		}
		var line map[string]string
		if err := json.Unmarshal([]byte(fmt.Sprint(r.prop("AccessLogSettings", "Format"))), &line); err != nil {
			f.add("API: its log is no JSON: %v", err)
			continue
		}
		f.want("API", "what is logged", slices.Sorted(maps.Values(line)), []string{
			"$context.integrationErrorMessage", "$context.integrationStatus", "$context.requestId", "$context.responseLatency",
			"$context.status",
		})
	}
	f.want(of, "number of stages of its API", n, 1)
}

// checkURL checks that the stack outputs the URL for posts.
func (a *assembly) checkURL(f *findings, api string) {
	for _, o := range a.stacks["pipeline"].Outputs {
		if a.text("pipeline/", o.Value) == "${"+api+".ApiEndpoint}/v1/{business}/{kind}" {
			return
		}
	}
	f.add("API: its address is no output")
}
