package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/jsii-runtime-go"
)

// verdict returns the findings of CloudFormation's own rules, which CDK applies to
// each template of an assembly.
func verdict(t *testing.T, dir string) (found []string) {
	t.Helper()
	var report struct {
		PluginReports []struct {
			Conclusion string
			Violations []struct{ RuleName, Severity string }
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "validation-report.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &report); err != nil {
		t.Fatal(err)
	}
	for _, p := range report.PluginReports {
		for _, v := range p.Violations {
			found = append(found, v.RuleName+" "+v.Severity)
		}
	}
	return found
}

func TestCloudFormationFindsNothing(t *testing.T) {
	for name := range deployments {
		if found := verdict(t, of(t, name).dir); len(found) > 0 {
			t.Errorf("%s: %v", name, found)
		}
	}
}

// A function with a megabyte of memory: the rules are on, and a finding is an
// error.
func TestCloudFormationFindsAFault(t *testing.T) {
	context, err := cdkContext()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	app := awscdk.NewApp(&awscdk.AppProps{Outdir: &dir, Context: &context})
	stack := awscdk.NewStack(app, jsii.String("wrong"), nil)
	awslambda.NewCfnFunction(stack, jsii.String("Function"), &awslambda.CfnFunctionProps{
		Role: jsii.String("arn:aws:iam::aws:role/none"), Runtime: jsii.String("provided.al2023"), Handler: jsii.String("bootstrap"),
		Code: &awslambda.CfnFunction_CodeProperty{ZipFile: jsii.String("none")}, MemorySize: jsii.Number(1),
	})
	func() {
		defer func() { _ = recover() }() // CDK may refuse to synthesise at all
		app.Synth(nil)
	}()
	found := strings.Join(verdict(t, dir), ", ")
	if !strings.Contains(found, "error") {
		t.Errorf("found %q, and no error", found)
	}
}
