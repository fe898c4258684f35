package main

import (
	"fmt"
	"strings"

	"footfall/infra/settings"
)

// shares are the columns of a table: shares of the rate that a size is made for.
var shares = []float64{0, 0.1, 1}

// report returns all tables, in Markdown.
func report() string {
	var b strings.Builder
	for _, size := range settings.Sizes() {
		b.WriteString(sizeTable(size))
	}
	b.WriteString(leverTable())
	b.WriteString(priceTable())
	return b.String()
}

// sizeTable returns the bill of a size at each of its shares.
func sizeTable(size settings.Size) string {
	rate := float64(size.SightingsPerSecond)
	var b strings.Builder
	fmt.Fprintf(&b, "\n**%s**, made for %s sightings a second; US dollars a month\n\n|", size.Name, grouped(rate))
	// The head of the table, with a bill for each column.
	bills := make([][]Item, len(shares))
	for i, share := range shares {
		bills[i] = bill(size, rate*share)
		column := grouped(rate*share) + "/s"
		if share == 0 {
			column = "idle"
		}
		b.WriteString(" | " + column)
	}
	b.WriteString(" |\n|---" + strings.Repeat("|---:", len(shares)) + "|\n")
	// One row for each line of the bills.
	for row, item := range bills[0] {
		fmt.Fprintf(&b, "| %s", item.What)
		for i := range bills {
			fmt.Fprintf(&b, " | %s", money(bills[i][row].USD))
		}
		b.WriteString(" |\n")
	}
	// The totals.
	b.WriteString("| **total**")
	for i := range bills {
		fmt.Fprintf(&b, " | **%s**", money(total(bills[i])))
	}
	b.WriteString(" |\n| a million sightings")
	for i, share := range shares {
		fmt.Fprintf(&b, " | %s", perMillion(bills[i], rate*share))
	}
	b.WriteString(" |\n")
	return b.String()
}

// perMillion returns the cost of a million sightings.
func perMillion(items []Item, sightings float64) string {
	if sightings == 0 {
		return ""
	}
	return fmt.Sprintf("%.3f", total(items)/(sightings*openHours*3600/1e6))
}

// priceTable returns the table of the prices that the bills are computed from.
func priceTable() string {
	var b strings.Builder
	b.WriteString("\n| price in us-east-1 | USD | per | source |\n|---|---:|---|---|\n")
	for _, p := range prices() {
		mark := ""
		if p.Secondary {
			mark = " *"
		}
		usd, unit := p.USD, p.Unit
		if unit == "one" {
			usd, unit = usd*1e6, "million"
		}
		fmt.Fprintf(&b, "| %s | %v | %s | %s%s |\n", p.What, rounded(usd), unit, p.Source, mark)
	}
	return b.String()
}

// rounded returns a price without floating-point noise.
func rounded(usd float64) string { return fmt.Sprintf("%.6g", usd) }

// money returns an amount in whole dollars, with cents below ten dollars.
func money(usd float64) string {
	switch {
	case usd < 0.005:
		return "0"
	case usd < 10:
		return fmt.Sprintf("%.2f", usd)
	}
	return grouped(usd)
}

// grouped returns a number with commas between thousands.
func grouped(n float64) string {
	s := fmt.Sprintf("%.0f", n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
