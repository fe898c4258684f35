// Package watch makes what tells people how a deployment does: alarms and where
// they go, and a dashboard. Every alarm has a section in docs/runbook.md.
package watch

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"

	"footfall/infra/settings"
	"footfall/shared/pipeline"
)

// Deployment is what there is to watch.
type Deployment struct {
	Settings settings.Settings
	Size     settings.Size
	Stages   []Stage
	Tables   map[string]*string // name in AWS by the name in the graph
	Cluster  Cluster
}

// Stage is a stage as it stands.
type Stage struct {
	Spec     pipeline.Stage
	Function awslambda.IFunction
	Alias    awslambda.IAlias // what event source mappings and schedules call
	Logs     awslogs.ILogGroup
	Mappings []Mapping
	API      *API // that calls it; nil for none
}

// API is the HTTP API as it stands.
type API struct {
	ID   *string           // dimension ApiId of its metrics
	Logs awslogs.ILogGroup // of its requests, written as AccessLog says
}

// Mapping is an event source mapping as it stands.
type Mapping struct {
	Of    pipeline.Mapping
	Group string  // its consumer group
	ID    *string // dimension EventSourceMappingUUID of its metrics
}

// Cluster is the MSK cluster.
type Cluster struct {
	Kind    settings.ClusterKind
	Name    *string // dimension "Cluster Name" of its metrics
	Brokers int     // how many; 0 where that is not known
}
