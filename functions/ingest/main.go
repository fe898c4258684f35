// Command ingest accepts the posts of routers, or of their clouds, about the
// devices that they hear. An HTTP API calls it with each request. The retry is the
// sender's: a post that is answered with another status than 200 is posted again.
// Records that an earlier attempt stored are then produced again, which changes
// nothing.
package main

import (
	"os"

	"github.com/aws/aws-lambda-go/lambda"

	"footfall/functions/internal/deps"
	"footfall/shared/ingest"
	"footfall/shared/pipeline"
)

func main() {
	os.Exit(deps.Run(pipeline.Ingest, func(d deps.Deps) {
		lambda.Start(ingest.New(ingest.Deps{
			Businesses: d.Businesses, Keys: d.Keys, Out: d.Out, Log: d.Log,
		}))
	}))
}
