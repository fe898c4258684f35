// Package watch adds the alarms of a deployment, the topic that they are sent to,
// and a dashboard. Every alarm has a section in docs/runbook.md.
//
// Start with rules.go, the table of alarms, and New in alarms.go.
package watch

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"

	"footfall/infra/settings"
	"footfall/shared/pipeline"
)

// Deployment holds the resources that are watched.
type Deployment struct {
	Settings settings.Settings
	Size     settings.Size
	Stages   []Stage
	Tables   map[string]*string // name in AWS by the name in the graph
	Cluster  Cluster
}

// Stage is a deployed stage.
type Stage struct {
	Spec     pipeline.Stage
	Function awslambda.IFunction
	Alias    awslambda.IAlias // invoked by event source mappings and schedules
	Logs     awslogs.ILogGroup
	Mappings []Mapping
	API      *API // that invokes the stage; nil for none
}

// API is the deployed HTTP API.
type API struct {
	ID   *string           // dimension ApiId of its metrics
	Logs awslogs.ILogGroup // of its requests, in the form of AccessLog
}

// Mapping is a deployed event source mapping.
type Mapping struct {
	Of    pipeline.Mapping
	Group string  // its consumer group
	ID    *string // dimension EventSourceMappingUUID of its metrics
}

// Cluster is the MSK cluster.
type Cluster struct {
	Kind    settings.ClusterKind
	Name    *string // dimension "Cluster Name" of its metrics
	Brokers int     // number of brokers; 0 if unknown
}
