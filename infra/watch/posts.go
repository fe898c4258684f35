package watch

import (
	"fmt"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/jsii-runtime-go"
)

// postRules are the alarms of the stage that takes posts, beside those that
// every stage has: what its senders see of it.
var postRules = []rule{
	{
		name: "api-errors", applies: takesPosts,
		means:  "Over 5 % of the requests of routers were answered 5xx, by ingest or by the API in its place. What was posted is lost unless its sender tries again.",
		do:     "If failed-posts, function-errors or throttles of ingest ring, begin there. Otherwise the log of the API says why ingest was not reached.",
		metric: serverErrorShare, compare: atLeast, limit: at(5), period: time.Minute, breaches: 3, of: 5, missing: fine,
		why: "Counted by the API, so it sees what ingest never answered: timeouts, throttles, a permission that is gone. " +
			"A minute is what a broker that restarts takes. No requests, no metric.",
	},
	{
		name: "refused-posts", applies: takesPosts,
		means:  "For a quarter of an hour over 20 % of the requests were refused (4xx): a sender, or many, post what is not taken.",
		do:     "See in the row of ingest which code has grown, and in its log of which businesses and kinds.",
		metric: refusedShare, compare: atLeast, limit: at(20), period: 5 * time.Minute, breaches: 3, of: 3, missing: fine,
		why: "A share, since there is always a router with an old secret. Under 20 requests in five minutes it says nothing: " +
			"whoever tries addresses of the internet tries this one.",
	},
	{
		name: "unauthorised-posts", applies: takesPosts,
		means:  "50 posts in five minutes had a wrong secret or signature: somebody guesses, or a secret was changed on one side only.",
		do:     "See in the log of ingest whether they are for one business. One whose secret was changed gets both for a while; guesses need nothing.",
		metric: unauthorised, compare: atLeast, limit: at(50), period: 5 * time.Minute, breaches: 1, of: 1, missing: fine,
		why: "A router with a wrong secret posts once a minute, so this is ten of them at once, or none. Secrets are not found by guessing at " +
			"any rate that is let in. The count is missing while there are none.",
	},
	{
		name: "throttled-posts", applies: takesPosts,
		means:  "Posts are refused for their number (429), by the API for all businesses or by ingest for one sender.",
		do:     "Look at lambda in the log of the API: \"-\" is the API's own limit. Raise postRate and postBurst if the posts are right.",
		metric: throttled, compare: atLeast, limit: at(1), period: time.Minute, breaches: 3, of: 5, missing: fine,
		why: "The limit is four times what the size is made for, so reaching it is news. Routers that all post on the minute fill a burst; " +
			"three minutes of five are none. The count is missing while there are none.",
	},
	{
		name: "slow-posts", applies: takesPosts,
		means:  "One request in a hundred took over 5 s. Senders give up on slow answers, and post again what was taken.",
		do:     "See whether produce time in the row of the cluster has grown, or posts have.",
		metric: slowestPosts, compare: atLeast, limit: at(5_000), period: time.Minute, breaches: 3, of: 5, missing: fine,
		why: "A cold start that connects to the brokers takes one or two seconds, and is the slowest of a hundred at most for a minute. " +
			"No requests, no metric.",
	},
	{
		name: "no-sightings", applies: mayNotBeQuiet,
		means:  "No sighting was let in for 15 minutes, of no business: nothing is posted, or nothing of it is taken.",
		do:     "If refused-posts or api-errors ring as well, begin there. Otherwise post something by hand: what does not arrive is the way to the API.",
		metric: accepted, compare: below, limit: at(1), period: 5 * time.Minute, breaches: 3, of: 3, missing: wrong,
		why: "Any shop hears passers-by and its own tills, so no sightings at all is an outage, and has no metric at all. " +
			"The setting quietAllowed leaves it out where nobody is heard at night.",
	},
}

// Of the API (API Gateway developer guide, "Working with metrics for HTTP APIs").

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

// postGraphs are the row of the stage that takes posts. Latency is what senders
// wait, the function's own time is beside it.
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
		{title: "refusals: by code", left: []awscloudwatch.IMetric{refusalsByCode(t)}},
		{
			title: "errors, refusals for their number on the right", left: []awscloudwatch.IMetric{
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

// refusalsByCode searches, since only a search finds the codes there were.
func refusalsByCode(t target) awscloudwatch.IMetric {
	return awscloudwatch.NewMathExpression(&awscloudwatch.MathExpressionProps{
		Expression: jsii.String(fmt.Sprintf(`SEARCH('{"%s",%s} MetricName="%s"', 'Sum')`, namespace(t.stage.Logs), byCode, refusals.name)),
		Label:      jsii.String(""), UsingMetrics: &map[string]awscloudwatch.IMetric{},
	})
}
