package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// writePage writes the page and, beside it, a plot of all ratios.
func writePage(path string, results []Result, o options) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Benchmarks\n\nWritten by `make bench`; every figure below comes from one run of it. Both sides of a ratio run in turn, %d rounds of %d s,\non the same machine (%d CPUs, %s, %s); the client, `wrk -t1`, runs on it too and takes its share. Figures move with the\nmachine; read the ratios, and their spread. Raw figures: [`test/bench/out.json`](../test/bench/out.json).\n\n", o.rounds, o.seconds, runtime.NumCPU(), runtime.GOARCH, runtime.Version())
	b.WriteString("![ratios](images/benchmarks.svg)\n\n| name | what | Myelin | reference | ratio (rounds) | goal | met |\n|---|---|---|---|---|---|---|\n")
	for _, r := range results {
		met := "yes"
		if !r.Met {
			met = "**no**"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s %s | %s | %.2f (%.2f to %.2f) | %s | %s |\n", r.Name, r.Title, format(r.Value), r.Unit, format(r.Reference), r.Ratio, lowest(r.Ratios, r.Ratio), highest(r.Ratios, r.Ratio), r.Goal, met)
	}
	b.WriteString("\n## Raw figures\n\n")
	for _, r := range results {
		fmt.Fprintf(&b, "**%s** (`make bench ONLY=%s`)\n\n", r.Name, r.Name)
		for _, s := range r.Sides {
			fmt.Fprintf(&b, "* %s: %s\n", s.Name, s.line(r.Unit))
		}
		b.WriteString("\n")
	}
	images := filepath.Join(filepath.Dir(path), "images")
	if err := os.MkdirAll(images, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(images, "benchmarks.svg"), plot(results), 0o644); err != nil {
		return err
	}
	return os.WriteFile(path, append(bytes.TrimSpace(b.Bytes()), '\n'), 0o644)
}

// plot draws the ratio of each throughput with its spread; the line at 1 is
// the raw limit.
func plot(results []Result) []byte {
	var rows []Result
	for _, r := range results {
		if strings.HasSuffix(r.Goal, "of bare fasthttp") {
			rows = append(rows, r)
		}
	}
	const left, width, step = 150, 480, 34
	x := func(ratio float64) float64 { return left + min(ratio, 1.25)/1.25*width }
	var b bytes.Buffer
	height := step*len(rows) + 46
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", left+width+70, height)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="#fff"/>`+"\n")
	for _, mark := range []float64{0.25, 0.5, 0.75, 1} {
		fmt.Fprintf(&b, `<line x1="%.1f" x2="%.1f" y1="8" y2="%d" stroke="%s"/><text x="%.1f" y="%d" text-anchor="middle" fill="#555">%.2f</text>`+"\n", x(mark), x(mark), height-30, map[bool]string{true: "#c33", false: "#ddd"}[mark == 1], x(mark), height-14, mark)
	}
	for i, r := range rows {
		y := 12 + i*step
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text><rect x="%d" y="%d" width="%.1f" height="18" fill="#3a7bd5"/>`+"\n", left-8, y+14, r.Name, left, y, x(r.Ratio)-left)
		fmt.Fprintf(&b, `<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="#123" stroke-width="2"/><text x="%.1f" y="%d">%.2f</text>`+"\n", x(lowest(r.Ratios, r.Ratio)), x(highest(r.Ratios, r.Ratio)), y+9, y+9, x(highest(r.Ratios, r.Ratio))+6, y+14, r.Ratio)
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" fill="#555">throughput by that of bare fasthttp (the red line)</text></svg>`+"\n", left, height-1)
	return b.Bytes()
}
