package pipeline

// LocalDeployment is the name of the deployment that the local stack runs.
const LocalDeployment = "footfall"

// Group returns the name of the consumer group with which a stage of a deployment
// consumes a topic. The format must not change: a group with another name starts
// without the committed offsets. CloudWatch estimates a lag in time only for groups
// in ASCII without a colon.
func Group(deployment, stage, topic string) string {
	return deployment + "-" + stage + "-" + topic
}
