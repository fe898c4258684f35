package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"footfall/events"
	"footfall/infra/settings"
	"footfall/shared/pipeline"
)

// scratch is the folder of the synthesised templates.
var scratch string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if scratch, err = os.MkdirTemp("", "infra"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(scratch) }()
		defer jsii.Close() // ends the node process that all synths share
		return m.Run()
	}())
}

// resource is a resource of a template.
type resource struct {
	Type                                string
	Properties                          map[string]any
	DependsOn                           []string
	DeletionPolicy, UpdateReplacePolicy string
	UpdatePolicy                        map[string]any
}

// template is a template of an assembly.
type template struct {
	name      string // of the stack, without the deployment's
	bytes     []byte
	dependsOn []string // other stacks
	Resources map[string]resource
	Outputs   map[string]struct {
		Value  any
		Export struct{ Name string }
	}
}

// assembly is the synthesised output of one deployment.
type assembly struct {
	name   string
	d      *deployment
	dir    string
	stacks map[string]*template
}

// The deployments for which the properties are checked.
var deployments = map[string]map[string]any{
	"dev": {"size": "dev"}, "small": {"size": "small"}, "large": {"size": "large", "postRate": 300.0, "postBurst": 900.0},
	"existing with an endpoint": {
		"size": "large", "name": "shop-3", "clusterArn": "arn:aws:kafka:eu-central-1:123456789012:cluster/theirs/0f1e2d3c-aaaa-bbbb-cccc-0123456789ab-7",
		"clusterVpc": "vpc-0123456789abcdef0", "clusterSubnets": "subnet-0a,subnet-0b,subnet-0c", "clusterSecurityGroup": "sg-0123456789abcdef0",
		"clusterSecretsGroup": "sg-0a0a0a0a0a0a0a0a0", "quietAllowed": true,
	},
	"existing": {
		"size": "small", "name": "shop-2", "clusterArn": "arn:aws:kafka:eu-central-1:123456789012:cluster/theirs/0f1e2d3c-aaaa-bbbb-cccc-0123456789ab-7",
		"clusterVpc": "vpc-0123456789abcdef0", "clusterSubnets": "subnet-0a, subnet-0b",
		"clusterSecurityGroup": "sg-0123456789abcdef0", "clusterRouteTables": []any{"rtb-0a"},
		"alarmEmail": "ops@example.com", "slackWorkspace": "T0123ABCD", "slackChannel": "C0123ABCD", "atOnce": "count, detect",
	},
}

// synthesised returns each of them, synthesised once per run: starting CDK takes
// most of the time.
var synthesised = func() map[string]func() (*assembly, error) {
	all := map[string]func() (*assembly, error){}
	for name, context := range deployments {
		all[name] = sync.OnceValues(func() (*assembly, error) { return synth(name, context, fakeAssets("same")) })
	}
	return all
}()

// fakeAssets makes folders like those of built functions. Their content does not
// matter to a template, only whether it changes.
func fakeAssets(content string, changed ...string) string {
	dir, err := os.MkdirTemp(scratch, "assets")
	if err != nil {
		panic(err)
	}
	names := []string{topicsFunction}
	for _, s := range pipeline.Default().Stages {
		names = append(names, s.Name)
	}
	for _, name := range names {
		text := name + " same"
		if slices.Contains(changed, name) {
			text = name + " " + content
		}
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			panic(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name, "bootstrap"), []byte(text), 0o755); err != nil {
			panic(err)
		}
	}
	return dir
}

// cdkContext is the context of cdk.json, which the CDK's command passes on.
func cdkContext() (map[string]any, error) {
	var file struct{ Context map[string]any }
	text, err := os.ReadFile("../cdk.json")
	if err != nil {
		return nil, err
	}
	return file.Context, json.Unmarshal(text, &file)
}

func synth(name string, context map[string]any, assets string) (*assembly, error) {
	all, err := cdkContext()
	if err != nil {
		return nil, err
	}
	maps.Copy(all, context)
	dir, err := os.MkdirTemp(scratch, name)
	if err != nil {
		return nil, err
	}
	app := awscdk.NewApp(&awscdk.AppProps{Outdir: &dir, Context: &all, TreeMetadata: jsii.Bool(false)})
	set, err := settings.Parse(contextOf(app))
	if err != nil {
		return nil, err
	}
	newDeployment(app, set, assets)
	app.Synth(nil)
	size, _ := settings.SizeByName(set.Size)
	a := &assembly{name: name, dir: dir, stacks: map[string]*template{}, d: &deployment{
		set: set, size: size, graph: pipeline.Default(), topics: events.Topics(),
	}}
	return a, a.load()
}

func (a *assembly) load() error {
	var manifest struct {
		Artifacts map[string]struct{ Dependencies []string }
	}
	text, err := os.ReadFile(filepath.Join(a.dir, "manifest.json"))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &manifest); err != nil {
		return err
	}
	for _, name := range []string{"network-and-cluster", "state", "pipeline"} {
		text, err := os.ReadFile(filepath.Join(a.dir, a.d.set.Name+"-"+name+".template.json"))
		if err != nil {
			return err
		}
		t := &template{name: name, bytes: text}
		for _, other := range manifest.Artifacts[a.d.set.Name+"-"+name].Dependencies {
			t.dependsOn = append(t.dependsOn, strings.TrimPrefix(other, a.d.set.Name+"-"))
		}
		if err := json.Unmarshal(text, t); err != nil {
			return err
		}
		a.stacks[name] = t
	}
	return nil
}

// of returns a deployment, as a copy that the test may change.
func of(t *testing.T, name string) *assembly {
	t.Helper()
	a, err := synthesised[name]()
	if err != nil {
		t.Fatal(err)
	}
	c := *a
	c.stacks = map[string]*template{}
	if err := c.load(); err != nil {
		t.Fatal(err)
	}
	return &c
}

// all iterates over the resources of a type, in all stacks or in those named, in the
// order of their names.
func (a *assembly) all(kind string, stacks ...string) func(yield func(string, resource) bool) {
	return func(yield func(string, resource) bool) {
		for _, name := range slices.Sorted(maps.Keys(a.stacks)) {
			if len(stacks) > 0 && !slices.Contains(stacks, name) {
				continue
			}
			t := a.stacks[name]
			for _, id := range slices.Sorted(maps.Keys(t.Resources)) {
				if r := t.Resources[id]; r.Type == kind && !yield(name+"/"+id, r) {
					return
				}
			}
		}
	}
}

// at returns the value under keys of objects and indices of lists; nil if there is
// none.
func at(v any, path ...any) any {
	for _, step := range path {
		switch s := step.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[s]
		case int:
			l, _ := v.([]any)
			if s >= len(l) {
				return nil
			}
			v = l[s]
		}
	}
	return v
}

// prop looks up a property.
func (r resource) prop(path ...any) any { return at(r.Properties, path...) }

// list returns a value that may be a single element as a list.
func list(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	default:
		return []any{v}
	}
}

// text returns a value of a template on one line, with the same text for the same
// resource everywhere: a reference to a resource is ${stack/Id}, an attribute
// ${stack/Id.Attribute}, an imported value is the value that its stack exports.
func (a *assembly) text(where string, v any) string {
	stackName, _, _ := strings.Cut(where, "/")
	m, ok := v.(map[string]any)
	if !ok {
		return fmt.Sprint(v)
	}
	switch {
	case m["Ref"] != nil:
		if name := m["Ref"].(string); strings.HasPrefix(name, "AWS::") {
			return "${" + name + "}"
		}
		return "${" + stackName + "/" + m["Ref"].(string) + "}"
	case m["Fn::GetAtt"] != nil:
		return fmt.Sprintf("${%s/%v.%v}", stackName, at(m, "Fn::GetAtt", 0), at(m, "Fn::GetAtt", 1))
	case m["Fn::ImportValue"] != nil:
		return a.exported(m["Fn::ImportValue"].(string))
	case m["Fn::Join"] != nil:
		var parts []string
		for _, p := range list(at(m, "Fn::Join", 1)) {
			parts = append(parts, a.text(where, p))
		}
		return strings.Join(parts, at(m, "Fn::Join", 0).(string))
	case m["Fn::Select"] != nil:
		return fmt.Sprintf("${%v of %s}", at(m, "Fn::Select", 0), a.text(where, at(m, "Fn::Select", 1)))
	case m["Fn::Split"] != nil:
		return a.text(where, at(m, "Fn::Split", 1))
	default:
		b, _ := json.Marshal(m)
		return string(b)
	}
}

func (a *assembly) exported(name string) string {
	for stackName, t := range a.stacks {
		for _, o := range t.Outputs {
			if o.Export.Name == name {
				return a.text(stackName+"/", o.Value)
			}
		}
	}
	return "${nothing exported as " + name + "}"
}
