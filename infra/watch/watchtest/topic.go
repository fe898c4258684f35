package watchtest

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

const cloudWatch = "cloudwatch.amazonaws.com"

// CheckTopic returns an error with all faults of the alarm topic: no encryption,
// plain HTTP, a policy that excludes CloudWatch, alarms whose names the policy does
// not cover or that go to another topic.
func CheckTopic(t Template) error {
	topics := t.Resources("AWS::SNS::Topic")
	if len(topics) != 1 {
		return fmt.Errorf("there are %d topics for alarms, not one", len(topics))
	}
	var errs []error
	var topic string
	for id, p := range topics {
		topic = id
		if p["KmsMasterKeyId"] == nil {
			errs = append(errs, fmt.Errorf("topic %s is not encrypted", id))
		}
	}
	// The policy rejects plain HTTP and admits CloudWatch.
	statements := policyStatements(t.Resources("AWS::SNS::TopicPolicy"), "PolicyDocument")
	if !slices.ContainsFunc(statements, deniesHTTP) {
		errs = append(errs, fmt.Errorf("topic %s takes plain HTTP", topic))
	}
	i := slices.IndexFunc(statements, func(s map[string]any) bool { return allows(s, cloudWatch, "sns:Publish") })
	if i < 0 {
		return errors.Join(append(errs, fmt.Errorf("topic %s does not let %s publish", topic, cloudWatch))...)
	}
	// All alarms match the policy and go to this topic.
	pattern := alarmPattern(statements[i])
	for _, a := range t.Alarms() {
		if ok, err := path.Match(pattern, a.Name); !ok || err != nil {
			errs = append(errs, fmt.Errorf("alarm %s is kept out by the policy of topic %s, which lets in %q", a.Name, topic, pattern))
		}
		for _, action := range append(list(a.Properties["AlarmActions"]), list(a.Properties["OKActions"])...) {
			if ref, _ := action.(map[string]any); ref["Ref"] != topic {
				errs = append(errs, fmt.Errorf("alarm %s goes to %s and not to topic %s", a.Name, flat(action), topic))
			}
		}
	}
	return errors.Join(errs...)
}

// CheckKeyAdmitsAlarms returns an error if no key of the template allows CloudWatch
// to encrypt its messages. The template is that of the stack with the topic's key.
func CheckKeyAdmitsAlarms(t Template) error {
	for _, s := range policyStatements(t.Resources("AWS::KMS::Key"), "KeyPolicy") {
		if allows(s, cloudWatch, "kms:Decrypt") && allows(s, cloudWatch, "kms:GenerateDataKey") {
			return nil
		}
	}
	return fmt.Errorf("no key lets %s decrypt and generate data keys: no alarm will reach a topic encrypted with it", cloudWatch)
}

func policyStatements(resources map[string]map[string]any, document string) []map[string]any {
	var all []map[string]any
	for _, p := range resources {
		d, _ := p[document].(map[string]any)
		for _, s := range list(d["Statement"]) {
			if s, ok := s.(map[string]any); ok {
				all = append(all, s)
			}
		}
	}
	return all
}

func deniesHTTP(s map[string]any) bool {
	return s["Effect"] == "Deny" && strings.Contains(flat(s["Condition"]), "{Bool:{aws:SecureTransport:false}}")
}

func allows(s map[string]any, service, action string) bool {
	principal, _ := s["Principal"].(map[string]any)
	if s["Effect"] != "Allow" || !slices.Contains(list(principal["Service"]), any(service)) {
		return false
	}
	return slices.ContainsFunc(list(s["Action"]), func(a any) bool {
		ok, _ := path.Match(fmt.Sprint(a), action)
		return ok
	})
}

// alarmPattern returns the pattern of alarm names that a statement allows.
func alarmPattern(s map[string]any) string {
	condition, _ := s["Condition"].(map[string]any)
	like, _ := condition["ArnLike"].(map[string]any)
	arn := flat(like["aws:SourceArn"])
	return arn[strings.LastIndex(arn, ":")+1:]
}
