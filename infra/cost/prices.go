package main

// Price is AWS's list price of one unit in us-east-1, in US dollars.
type Price struct {
	What   string
	USD    float64
	Unit   string
	Source string // the page with the price
	// Secondary reports whether the price was read in a source other than AWS, which
	// cites the page in Source.
	Secondary bool
}

// Pages with the prices.
const (
	mskPricing        = "aws.amazon.com/msk/pricing"
	lambdaPricing     = "aws.amazon.com/lambda/pricing"
	apiPricing        = "aws.amazon.com/api-gateway/pricing"
	dynamoPricing     = "aws.amazon.com/dynamodb/pricing/on-demand"
	cloudwatchPricing = "aws.amazon.com/cloudwatch/pricing"
	xrayPricing       = "aws.amazon.com/xray/pricing"
	privateLink       = "aws.amazon.com/privatelink/pricing"
	secretsPricing    = "aws.amazon.com/secrets-manager/pricing"
	kmsPricing        = "aws.amazon.com/kms/pricing"
	scalingModes      = "docs.aws.amazon.com/lambda/latest/dg/kafka-scaling-modes.html"
)

// Prices of the model, in November 2026.
var (
	ExpressLarge     = Price{"Express broker m7g.large", 0.408, "hour", mskPricing, true}
	ExpressIn        = Price{"Express, written", 0.01, "GB", mskPricing, true}
	ExpressStorage   = Price{"Express, kept; replicas taken as free", 0.10, "GB-month", mskPricing, true}
	ServerlessHour   = Price{"Serverless cluster", 0.75, "hour", mskPricing, true}
	ServerlessPart   = Price{"Serverless partition", 0.0015, "hour", mskPricing, true}
	ServerlessIn     = Price{"Serverless, written", 0.10, "GB", mskPricing, true}
	ServerlessOut    = Price{"Serverless, read", 0.05, "GB", mskPricing, true}
	ServerlessStored = Price{"Serverless, kept", 0.10, "GB-month", mskPricing, true}

	StandardT3      = Price{"Standard broker kafka.t3.small", 0.0456, "hour", mskPricing, true}
	StandardStorage = Price{"Standard, provisioned storage", 0.10, "GB-month", mskPricing, true}

	PollerUnit    = Price{"event poller unit (EPU)", 0.185, "hour", scalingModes, false}
	LambdaRequest = Price{"Lambda invocation", 0.20e-6, "one", lambdaPricing, true}
	LambdaARM     = Price{"Lambda on arm64", 0.0000133334, "GB-second", lambdaPricing, true}

	// A request is metered per 512 KB; the posts of routers count as one request
	// each.
	APIRequest     = Price{"HTTP API request, of the first 300 million a month", 1e-6, "one", apiPricing, true}
	APIRequestMore = Price{"HTTP API request, of the others", 0.9e-6, "one", apiPricing, true}

	WriteUnit     = Price{"DynamoDB write unit, on demand", 0.625e-6, "one", dynamoPricing, true}
	ReadUnit      = Price{"DynamoDB read unit, on demand", 0.125e-6, "one", dynamoPricing, true}
	DynamoStorage = Price{"DynamoDB storage", 0.25, "GB-month", dynamoPricing, true}
	DynamoBackup  = Price{"DynamoDB point-in-time recovery", 0.20, "GB-month", dynamoPricing, true}

	LogsIn     = Price{"CloudWatch Logs, written", 0.50, "GB", cloudwatchPricing, true}
	LogsStored = Price{"CloudWatch Logs, kept", 0.03, "GB-month", cloudwatchPricing, true}
	Metric     = Price{"CloudWatch metric beyond those of the service", 0.30, "month", cloudwatchPricing, true}
	Alarm      = Price{"CloudWatch alarm, per metric", 0.10, "month", cloudwatchPricing, true}
	Dashboard  = Price{"CloudWatch dashboard", 3, "month", cloudwatchPricing, true}
	Trace      = Price{"X-Ray trace", 5e-6, "one", xrayPricing, true}

	Endpoint = Price{"interface endpoint, per zone", 0.01, "hour", privateLink, true}
	Secret   = Price{"secret", 0.40, "month", secretsPricing, true}
	Key      = Price{"KMS key", 1, "month", kmsPricing, false}
)

// prices returns all prices, in the order of the document.
func prices() []Price {
	return []Price{
		ExpressLarge, ExpressIn, ExpressStorage,
		ServerlessHour, ServerlessPart, ServerlessIn, ServerlessOut, ServerlessStored,
		StandardT3, StandardStorage, PollerUnit, LambdaRequest, LambdaARM,
		APIRequest, APIRequestMore, WriteUnit, ReadUnit, DynamoStorage, DynamoBackup,
		LogsIn, LogsStored, Metric, Alarm, Dashboard, Trace, Endpoint, Key, Secret,
	}
}
