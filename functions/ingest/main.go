// Command ingest takes what routers, or their clouds, post about the devices
// they hear. An HTTP API calls it with each request. A post that is answered
// with anything but 200 is posted again by its sender; what an earlier try
// wrote is then written once more, which changes nothing.
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
