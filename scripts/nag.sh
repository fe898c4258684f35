#!/bin/sh
# Reads cdk-nag's reports in the given assemblies. It lists the suppressed findings
# by reason, once for all assemblies. It fails if a finding is not suppressed, or if
# an assembly lacks the report of a rule pack on a stack.
#
#   scripts/nag.sh bin/cdk.out/small...
set -eu
status=0
stacks=0
for assembly in "$@"; do
	templates=$(ls "$assembly"/*.template.json | wc -l)
	stacks=$((stacks + templates))
	for pack in AwsSolutions Serverless; do
		reports=$(ls "$assembly/$pack"-*NagReport.csv | wc -l)
		[ "$reports" = "$templates" ] || { echo "$assembly: $reports reports of $pack for $templates stacks" >&2; status=1; }
	done
	# CloudFormation's own rules write no report if they find nothing.
	grep -q '"pluginReports"' "$assembly/validation-report.json" && ! grep -q '"conclusion": "failure"' "$assembly/validation-report.json" ||
		{ echo "$assembly: CloudFormation's rules have findings, see $assembly/validation-report.json" >&2; status=1; }
	if grep -H '"Non-Compliant"\|"UNKNOWN"' "$assembly"/*NagReport.csv; then status=1; fi
done
cat $(for assembly in "$@"; do ls "$assembly"/*NagReport.csv; done) | awk -F '","' '
	$3 == "Suppressed" {
		sub(/^"/, "", $1)
		# The subject of a finding belongs to the finding, not to the reason.
		about = match($4, /^\[[^]]*\] /) ? " " substr($4, 1, RLENGTH - 1) : ""
		reason = substr($4, about == "" ? 1 : RLENGTH + 1)
		finding = "    " $1 about "  " $2
		if (seen[reason, finding]++) next
		if (!(reason in findings)) order[++n] = reason
		findings[reason] = findings[reason] finding "\n"
	}
	END { for (i = 1; i <= n; i++) printf "Suppressed: %s\n%s", order[i], findings[order[i]] }'
[ $status != 0 ] || echo "$stacks stacks: cdk-nag found nothing except the suppressed findings above, CloudFormation's rules found nothing."
exit $status
