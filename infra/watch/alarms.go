package watch

import (
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatchactions"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// ReleaseAlarms adds the alarms on the live alias of s that roll a release back, and
// returns them for its deployment group. It needs only the function, so it runs
// before New, which adds all other alarms.
//
// A broken release shows in errors of the function, in failed partitions (which are
// no errors of the function), and in slow invocations. Lag and dead letters come too
// late, or from producers.
func ReleaseAlarms(scope constructs.Construct, s Stage, topic awssns.ITopic) []awscloudwatch.IAlarm {
	if len(s.Spec.Reads) > 0 {
		failedEvents.filter(scope, &s)
	}
	if s.Spec.HTTP {
		failedPosts.filter(scope, &s)
	}
	var alarms []awscloudwatch.IAlarm
	for _, r := range stageRules {
		if t := (target{stage: &s}); r.release && r.appliesTo(t) {
			alarms = append(alarms, r.alarm(scope, t, topic))
		}
	}
	return alarms
}

// New adds all alarms except those of ReleaseAlarms, the metrics from logs, and the
// dashboard. Its scope is in the stack of ReleaseAlarms.
func New(scope constructs.Construct, d Deployment, topic awssns.ITopic) {
	for i := range d.Stages {
		newFilters(scope, &d.Stages[i])
	}
	stages, mappings, tables, accesses, cluster := targets(&d)
	var alarms []awscloudwatch.IAlarm
	for _, of := range []struct {
		rules   []rule
		targets []target
	}{
		{stageRules, stages}, {postRules, stages}, {mappingRules, mappings}, {tableRules, tables}, {accessRules, accesses}, {clusterRules, cluster},
	} {
		for _, t := range of.targets {
			for _, r := range of.rules {
				switch {
				case !r.appliesTo(t):
				case r.release: // ReleaseAlarms has added it
					name := jsii.String(r.alarmName(scope, t))
					alarms = append(alarms, awscloudwatch.Alarm_FromAlarmName(scope, jsii.String("Known-"+r.name+"-"+t.subject()), name))
				default:
					alarms = append(alarms, r.alarm(scope, t, topic))
				}
			}
		}
	}
	newDashboard(scope, &d, alarms)
}

// newFilters adds the metrics from logs that ReleaseAlarms has not added.
func newFilters(scope constructs.Construct, s *Stage) {
	var all []logMetric
	switch {
	case len(s.Spec.Reads) > 0:
		all = []logMetric{handledRecords, oldestMs, deadRecords}
	case s.Spec.HTTP:
		all = []logMetric{acceptedSightings, leftOut, refusals, unauthorisedPosts}
		throttledPosts.filterOf(scope, s, s.API.Logs)
	}
	for _, m := range all {
		m.filter(scope, s)
	}
}

func (r rule) appliesTo(t target) bool { return r.applies == nil || r.applies(t) }

// alarmName returns the name of an alarm, which is often all that an operator sees
// on a phone. It begins with the name of the deployment, as the stacks do.
func (r rule) alarmName(scope constructs.Construct, t target) string {
	return fmt.Sprintf("%s-%s-%s", *awscdk.Stack_Of(scope).StackName(), r.name, t.subject())
}

func (r rule) alarm(scope constructs.Construct, t target, topic awssns.ITopic) awscloudwatch.IAlarm {
	alarm := awscloudwatch.NewAlarm(scope, jsii.String("Alarm-"+r.name+"-"+t.subject()), &awscloudwatch.AlarmProps{
		AlarmName: jsii.String(r.alarmName(scope, t)),
		AlarmDescription: jsii.String(fmt.Sprintf("%s: %s What to do: %s Runbook: docs/runbook.md#%s",
			t.subject(), r.means, r.do, r.name)),
		Metric:             within(r.metric(t), awscdk.Duration_Seconds(jsii.Number(r.period.Seconds()))),
		ComparisonOperator: r.compare,
		Threshold:          jsii.Number(r.limit(t)),
		DatapointsToAlarm:  jsii.Number(r.breaches),
		EvaluationPeriods:  jsii.Number(r.of),
		TreatMissingData:   r.missing,
	})
	action := awscloudwatchactions.NewSnsAction(topic)
	alarm.AddAlarmAction(action)
	alarm.AddOkAction(action)
	return alarm
}

// within returns a metric or a formula with a period.
func within(m awscloudwatch.IMetric, period awscdk.Duration) awscloudwatch.IMetric {
	switch m := m.(type) {
	case awscloudwatch.MathExpression:
		return m.With(&awscloudwatch.MathExpressionOptions{Period: period})
	case awscloudwatch.Metric:
		return m.With(&awscloudwatch.MetricOptions{Period: period})
	default:
		return m
	}
}
