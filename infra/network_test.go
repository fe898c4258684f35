package main

import (
	"fmt"
	"slices"
	"strings"

	"footfall/shared/pipeline"
)

// rule lets something in or out of a group.
type rule struct{ from, to, ports string }

// rules returns the rules of all groups as "from reaches to", each with the group
// that holds it.
func (a *assembly) rules() (in, out []rule) {
	ports := func(r any) string { return fmt.Sprintf("%v-%v", at(r, "FromPort"), at(r, "ToPort")) }
	other := func(where string, r any, keys ...string) string {
		for _, k := range keys {
			if v := at(r, k); v != nil {
				return a.text(where, v)
			}
		}
		return "?"
	}
	for where, r := range a.all("AWS::EC2::SecurityGroup") {
		group := "${" + where + ".GroupId}"
		for _, e := range list(r.prop("SecurityGroupEgress")) {
			out = append(out, rule{group, other(where, e, "CidrIp", "CidrIpv6", "DestinationSecurityGroupId", "DestinationPrefixListId"), ports(e)})
		}
		for _, i := range list(r.prop("SecurityGroupIngress")) {
			in = append(in, rule{other(where, i, "CidrIp", "CidrIpv6", "SourceSecurityGroupId", "SourcePrefixListId"), group, ports(i)})
		}
	}
	for where, r := range a.all("AWS::EC2::SecurityGroupEgress") {
		out = append(out, rule{a.text(where, r.prop("GroupId")), other(where, r.Properties, "CidrIp", "CidrIpv6", "DestinationSecurityGroupId", "DestinationPrefixListId"), ports(r.Properties)})
	}
	for where, r := range a.all("AWS::EC2::SecurityGroupIngress") {
		in = append(in, rule{other(where, r.Properties, "CidrIp", "CidrIpv6", "SourceSecurityGroupId", "SourcePrefixListId"), a.text(where, r.prop("GroupId")), ports(r.Properties)})
	}
	return in, out
}

// clusterGroup returns the security group of the cluster.
func (a *assembly) clusterGroup() string {
	for where, r := range a.all("AWS::MSK::Cluster") {
		return a.text(where, at(r.prop("BrokerNodeGroupInfo", "SecurityGroups"), 0))
	}
	for where, r := range a.all("AWS::MSK::ServerlessCluster") {
		return a.text(where, at(r.prop("VpcConfigs"), 0, "SecurityGroups", 0))
	}
	return a.d.set.ClusterSecurityGroup
}

// reach checks that an event source mapping can poll from the cluster's subnets with
// the cluster's group. Of an existing cluster's group only the rule for the
// functions is checked.
func reach(a *assembly, f *findings) {
	in, out := a.rules()
	cluster := a.clusterGroup()
	need := func(who, from, to, port string) {
		r := rule{from, to, port}
		if !slices.Contains(in, r) {
			f.add("%s: not let in at %s", who, to)
		}
		if !slices.Contains(out, r) && from != a.d.set.ClusterSecurityGroup {
			f.add("%s: not let out to %s", who, to)
		}
	}
	if !a.d.set.Existing() {
		need("event source mappings", cluster, cluster, "9098-9098")
	}
	for _, name := range a.ours() {
		where, r, _ := a.functionOf(name)
		groups := list(r.prop("VpcConfig", "SecurityGroupIds"))
		f.want(name, "number of groups", len(groups), 1)
		if len(groups) == 1 {
			need(name, a.text(where, groups[0]), cluster, "9098-9098")
		}
		f.want(name, "number of subnets", len(list(r.prop("VpcConfig", "SubnetIds"))), a.subnets())
	}
	if a.d.onDemand() {
		a.checkPollerEndpoints(f, need)
	}
	a.checkSecretsEndpoint(f, need)
}

// checkSecretsEndpoint checks the endpoint's policy. The functions share one group,
// so all of them reach the endpoint; the endpoint's policy and the roles distinguish
// them.
func (a *assembly) checkSecretsEndpoint(f *findings, need func(who, from, to, port string)) {
	_, fn, _ := a.functionOf(pipeline.Ingest)
	from, to := a.text("pipeline", at(fn.prop("VpcConfig", "SecurityGroupIds"), 0)), a.d.set.ClusterSecretsGroup
	for where, r := range a.all("AWS::EC2::VPCEndpoint") {
		if a.text(where, r.prop("ServiceName")) != "com.amazonaws.${AWS::Region}.secretsmanager" {
			continue
		}
		to = a.text(where, at(r.prop("SecurityGroupIds"), 0))
		f.want("secretsmanager", "endpoint's private names", r.prop("PrivateDnsEnabled"), true)
		f.want("secretsmanager", "endpoint's number of zones", len(list(r.prop("SubnetIds"))), a.secretsZones())
	}
	need("ingest to secretsmanager", from, to, "443-443")
}

// checkPollerEndpoints: pollers on demand call Lambda and STS from the cluster's
// subnets, as Lambda and on all resources.
func (a *assembly) checkPollerEndpoints(f *findings, need func(who, from, to, port string)) {
	for _, service := range []string{"lambda", "sts"} {
		found := false
		for where, r := range a.all("AWS::EC2::VPCEndpoint") {
			if a.text(where, r.prop("ServiceName")) != "com.amazonaws.${AWS::Region}."+service {
				continue
			}
			found = true
			f.want(service, "endpoint's private names", r.prop("PrivateDnsEnabled"), true)
			f.want(service, "endpoint's policy", a.text(where, r.prop("PolicyDocument", "Statement", 0, "Principal")), `{"Service":"lambda.amazonaws.com"}`)
			f.want(service, "endpoint's resources", r.prop("PolicyDocument", "Statement", 0, "Resource"), "*")
			need("pollers on demand to "+service, a.clusterGroup(), a.text(where, at(r.prop("SecurityGroupIds"), 0)), "443-443")
		}
		if !found {
			f.add("pollers on demand have no endpoint for %s", service)
		}
	}
}

// closed checks that the network reaches only the services that are called, and that
// nothing from outside reaches the network.
func closed(a *assembly, f *findings) {
	in, out := a.rules()
	for _, r := range append(in, out...) {
		if strings.Contains(r.from, "/0") || strings.Contains(r.to, "/0") {
			f.add("%s reaches %s", r.from, r.to)
		}
	}
	var groups []string
	for where, r := range a.all("AWS::EC2::SecurityGroup") {
		groups = append(groups, where)
		if len(list(r.prop("SecurityGroupEgress"))) == 0 {
			f.add("%s: without a rule of its own, EC2 lets everything out", where)
		}
	}
	for _, kind := range []string{"AWS::EC2::InternetGateway", "AWS::EC2::NatGateway", "AWS::EC2::EIP", "AWS::EC2::Route"} {
		for where := range a.all(kind) {
			f.add("%s: a way out", where)
		}
	}
	zones := map[string]bool{}
	for where, r := range a.all("AWS::EC2::Subnet") {
		zones[a.text(where, r.prop("AvailabilityZone"))] = true
		f.want(where, "public addresses", r.prop("MapPublicIpOnLaunch"), false)
	}
	if !a.d.set.Existing() {
		f.want("network", "number of zones", len(zones), 3)
	}
	var services []string
	if a.makesTheWayToTables() {
		services = append(services, "dynamodb")
	}
	if a.d.set.ClusterSecretsGroup == "" {
		services = append(services, "secretsmanager")
	}
	if a.d.serverless() {
		services = append(services, "s3")
	}
	if a.d.onDemand() {
		services = append(services, "lambda", "sts")
	}
	var got []string
	for where, r := range a.all("AWS::EC2::VPCEndpoint") {
		got = append(got, strings.TrimPrefix(a.text(where, r.prop("ServiceName")), "com.amazonaws.${AWS::Region}."))
	}
	slices.Sort(services)
	slices.Sort(got)
	f.want("network", "endpoints", got, services)
}

// subnets returns the number of subnets: one for each zone. An existing cluster may
// have two.
func (a *assembly) subnets() int {
	if a.d.set.Existing() {
		return len(a.d.set.ClusterSubnets)
	}
	return 3
}

// secretsZones returns the number of zones of the endpoint for Secrets Manager:
// three, or all zones, or one for size dev.
func (a *assembly) secretsZones() int {
	if a.d.serverless() {
		return 1
	}
	return min(3, a.subnets())
}
