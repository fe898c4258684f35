// Command infra defines the AWS resources of a Footfall deployment, as a CDK app of
// three stacks. The CDK command runs it, as cdk.json says; it reads the settings
// from the context and writes CloudFormation templates.
//
// Start with newDeployment in deployment.go. The stacks are cluster.go, state.go and
// pipeline.go; the settings are package settings, alarms and dashboard package
// watch, prices command cost.
package main

import (
	"fmt"
	"os"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"footfall/infra/settings"
)

// functionsDir holds the functions as `make` builds them for Lambda, one folder
// each, relative to the repository's root, where the CDK command runs.
const functionsDir = "bin/lambda"

func main() {
	err := run()
	jsii.Close() // ends the Node.js process that CDK runs in
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	app := awscdk.NewApp(nil)
	set, err := settings.Parse(contextOf(app))
	if err != nil {
		return fmt.Errorf("the context (cdk.json, or -c key=value) is wrong:\n%w", err)
	}
	newDeployment(app, set, functionsDir)
	app.Synth(nil)
	return nil
}

// contextOf returns the settings from cdk.json and -c.
func contextOf(app awscdk.App) map[string]any {
	context, _ := app.Node().GetAllContext(nil).(map[string]any)
	return context
}
