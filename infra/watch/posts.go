package watch

import (
	"fmt"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/jsii-runtime-go"
)

// postRules are the alarms of the stage that takes posts, in addition to the alarms
// of every stage: they watch what senders experience.
var postRules = []rule{
	{
		name: "api-errors", applies: takesPosts,
		means:  "Over 5 % of the requests of routers were answered 5xx, by ingest or by the API itself. The posts are lost unless their senders try again.",
		do:     "If failed-posts, function-errors or throttles of ingest are active, begin there. Otherwise the log of the API has the reason why ingest was not reached.",
		metric: serverErrorShare, compare: atLeast, limit: at(5), period: time.Minute, breaches: 3, of: 5, missing: fine,
		why: "Counted by the API, so it includes requests that ingest never answered: timeouts, throttles, a missing permission. " +
			"The restart of a broker takes a minute. Without requests there is no metric.",
	},
	{
		name: "refused-posts", applies: takesPosts,
		means:  "For a quarter of an hour over 20 % of the requests were rejected (4xx): one or more senders post records that are not accepted.",
		do:     "See in the row of ingest which rejection code has grown, and in its log the businesses and kinds.",
		metric: refusedShare, compare: atLeast, limit: at(20), period: 5 * time.Minute, breaches: 3, of: 3, missing: fine,
		why: "A share, since there is always a router with an old secret. Under 20 requests in five minutes a share means nothing: " +
			"scanners of the internet reach this address too.",
	},
	{
		name: "unauthorised-posts", applies: takesPosts,
		means:  "50 posts in five minutes had a wrong secret or signature: a client guesses, or a secret was changed on one side only.",
		do:     "Check in the log of ingest whether the posts are for one business. If its secret was changed, set both secrets for a while; guesses need no action.",
		metric: unauthorised, compare: atLeast, limit: at(50), period: 5 * time.Minute, breaches: 1, of: 1, missing: fine,
		why: "A router with a wrong secret posts once a minute, so 50 posts are ten routers at once, or a client that guesses. Guessing finds no secret at " +
			"any accepted rate. The count is missing while there are none.",
	},
	{
		name: "throttled-posts", applies: takesPosts,
		means:  "Posts are rejected by a rate limit (429), by the API for all businesses or by ingest for one sender.",
		do:     "Check the field lambda in the log of the API: \"-\" is the API's own limit. Raise postRate and postBurst if the posts are legitimate.",
		metric: throttled, compare: atLeast, limit: at(1), period: time.Minute, breaches: 3, of: 5, missing: fine,
		why: "The limit is four times the rate that the size is made for, so reaching it is unusual. Routers that all post on the minute fill a burst; " +
			"three minutes of five are no burst. The count is missing while there are none.",
	},
	{
		name: "slow-posts", applies: takesPosts,
		means:  "One request in a hundred took over 5 s. Senders give up on slow answers and post again.",
		do:     "Check whether the produce time in the row of the cluster has grown, or the size of posts.",
		metric: slowestPosts, compare: atLeast, limit: at(5_000), period: time.Minute, breaches: 3, of: 5, missing: fine,
		why: "A cold start that connects to the brokers takes one or two seconds, and is the slowest of a hundred requests for a minute at most. " +
			"Without requests there is no metric.",
	},
	{
		name: "no-sightings", applies: mayNotBeQuiet,
		means:  "No sighting of any business was accepted for 15 minutes: nothing is posted, or nothing is accepted.",
		do:     "If refused-posts or api-errors are active as well, begin there. Otherwise post a sighting by hand: if it does not arrive, the path to the API is broken.",
		metric: accepted, compare: below, limit: at(1), period: 5 * time.Minute, breaches: 3, of: 3, missing: wrong,
		why: "Every shop hears passers-by and its own tills, so no sightings at all are an outage, and then the metric is missing. " +
			"The setting quietAllowed leaves the alarm out if no device is heard at night.",
	},
}

// Metrics of the API (API Gateway developer guide, "Working with metrics for HTTP
// APIs").

func apiMetric(t target, name, statistic string) awscloudwatch.Metric {
	return metric("AWS/ApiGateway", name, statistic, map[string]*string{"ApiId": t.stage.API.ID})
}

func serverErrorShare(t target) awscloudwatch.IMetric {
	return formula("100 * errors / posts", map[string]awscloudwatch.IMetric{
		"errors": apiMetric(t, "5xx", sum), "posts": apiMetric(t, "Count", sum),
	})
}

func refusedShare(t target) awscloudwatch.IMetric {
	return formula("IF(posts >= 20, 100 * refused / posts, 0)", map[string]awscloudwatch.IMetric{
		"refused": apiMetric(t, "4xx", sum), "posts": apiMetric(t, "Count", sum),
	})
}

func slowestPosts(t target) awscloudwatch.IMetric { return apiMetric(t, "Latency", "p99") }
func unauthorised(t target) awscloudwatch.IMetric { return unauthorisedPosts.of(t.stage, sum) }
func throttled(t target) awscloudwatch.IMetric    { return throttledPosts.of(t.stage, sum) }
func accepted(t target) awscloudwatch.IMetric     { return acceptedSightings.of(t.stage, sum) }

// postGraphs returns the row of the stage that takes posts. Latency is the waiting
// time of senders, with the function's own time on the right.
func postGraphs(t target) []graph {
	s := t.stage
	return []graph{
		{
			title: "in: requests", left: []awscloudwatch.IMetric{apiMetric(t, "Count", sum)},
			right: []awscloudwatch.IMetric{
				labelled(acceptedSightings.of(s, sum), "sightings accepted"), labelled(leftOut.of(s, sum), "left out"),
			},
		},
		{title: "out: bytes/s of its topics", left: written(t)},
		// Rejections, failures and latency.
		{title: "rejections: by code", left: []awscloudwatch.IMetric{refusalsByCode(t)}},
		{
			title: "errors, rejections by rate limits on the right", left: []awscloudwatch.IMetric{
				apiMetric(t, "5xx", sum), failedPosts.of(s, sum), aliasMetric(s, "Errors", sum), aliasMetric(s, "Throttles", sum),
			},
			right: []awscloudwatch.IMetric{throttledPosts.of(s, sum)},
		},
		{
			title: "latency: ms of the API, of the function on the right",
			left:  []awscloudwatch.IMetric{apiMetric(t, "Latency", "p50"), apiMetric(t, "Latency", "p99")},
			right: []awscloudwatch.IMetric{aliasMetric(s, "Duration", "p99"), aliasLongest(t)},
		},
		cost(t),
	}
}

// refusalsByCode returns a search expression, since only a search finds all codes.
func refusalsByCode(t target) awscloudwatch.IMetric {
	return awscloudwatch.NewMathExpression(&awscloudwatch.MathExpressionProps{
		Expression: jsii.String(fmt.Sprintf(`SEARCH('{"%s",%s} MetricName="%s"', 'Sum')`, namespace(t.stage.Logs), byCode, refusals.name)),
		Label:      jsii.String(""), UsingMetrics: &map[string]awscloudwatch.IMetric{},
	})
}
