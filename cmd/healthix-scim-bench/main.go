// Command healthix-scim-bench measures the server against two yardsticks in the
// same run: pgbench on the same PostgreSQL (two narrow inserts, or one select)
// and a bare HTTP echo. Then it releases people and asks as the portal does, and at
// the end it plans policy changes over many people, held
// against one query that reads them. It prints ratios, because the figures of a
// shared machine mean nothing alone. It starts and stops everything itself, on
// loopback, and judges nothing.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"
)

type options struct {
	server   string
	users    int
	people   int
	releases int
	entries  int
	past     int
	clients  int
	rounds   int
	seconds  time.Duration
	echo     bool
}

func main() {
	var o options
	flag.StringVar(&o.server, "server", "bin/healthix-scim", "the server's binary")
	flag.IntVar(&o.users, "users", 5000, "users before the measuring begins")
	flag.IntVar(&o.people, "people", 100000, "people whom policy changes are planned over at the end; 0 leaves that out")
	flag.IntVar(&o.releases, "releases", 2000, "people who are taken from pending to released; 0 leaves that and the portal's question out")
	flag.IntVar(&o.entries, "entries", 100000, "entries of a log that is placed, exported, verified and checked; 0 leaves that and the record's cost out")
	flag.IntVar(&o.past, "past", 20000, "people of an access report as of an instant; 0 leaves that out")
	flag.IntVar(&o.clients, "clients", 16, "requests in flight, and pgbench's clients")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds; each measures everything once, in turn")
	flag.DurationVar(&o.seconds, "time", 3*time.Second, "length of one measurement")
	flag.BoolVar(&o.echo, "echo", false, "be the bare HTTP echo (started by the program itself)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	run := measure
	if o.echo {
		run = serveEcho
	}
	if err := run(ctx, o); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:gocritic // stop only frees the signal handler
	}
}

// result is what one measurement came to.
type result struct {
	rate     float64 // per second
	p50, p99 time.Duration
}

// bench is a case, and the yardstick that it is held against.
type bench struct {
	name  string
	stick string // the yardstick of pgbench, "" for none
	run   func(ctx context.Context) (result, error)
}

func measure(ctx context.Context, o options) error {
	stage, err := setStage(ctx, o)
	if err != nil {
		return err
	}
	defer stage.close()
	fmt.Fprintf(os.Stderr, "%d users, %d clients, %d rounds of %s each\n", o.users, o.clients, o.rounds, o.seconds)

	const inserts, selects, echo = "pgbench: two inserts", "pgbench: one select", "bare HTTP echo"
	cases := []bench{
		{name: inserts, run: stage.pgbench(insertScript)},
		{name: selects, run: stage.pgbench(selectScript)},
		{name: echo, run: stage.load(stage.echo)},
		{name: "create a user", stick: inserts, run: stage.load(stage.create)},
		{name: "get a user", stick: selects, run: stage.load(stage.get)},
		{name: "filter userName eq", stick: selects, run: stage.load(stage.filter)},
		{name: "filter emails[…]", stick: selects, run: stage.load(stage.filterEmail)},
		{name: "patch a title", stick: inserts, run: stage.load(stage.patch)},
		{name: "patch, 25 a second", run: stage.beside(nil, stage.patch)},
		{name: "patch, 25 a second, beside a flood", run: stage.beside(stage.filter, stage.patch)},
		{name: "list a page of 100", stick: selects, run: stage.load(stage.list)},
	}
	seen := map[string][]result{}
	for round := range o.rounds {
		for _, c := range cases {
			fmt.Fprintf(os.Stderr, "round %d: %s\n", round+1, c.name)
			if err := stage.drain(ctx); err != nil {
				return err
			}
			got, err := c.run(ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			seen[c.name] = append(seen[c.name], got)
		}
	}
	if err := report(cases, seen, echo); err != nil {
		return err
	}
	if o.releases > 0 {
		fmt.Println()
		if err := stage.releases(ctx, os.Stdout); err != nil {
			return err
		}
	}
	if o.entries > 0 {
		fmt.Println()
		if err := stage.records(ctx, os.Stdout); err != nil {
			return err
		}
		if err := stage.logs(ctx, os.Stdout); err != nil {
			return err
		}
	}
	if o.past > 0 {
		fmt.Println()
		if err := stage.reports(ctx, os.Stdout); err != nil {
			return err
		}
	}
	if o.people == 0 {
		return nil
	}
	fmt.Println()
	return stage.plans(ctx, os.Stdout)
}

// report prints medians, and the median of the ratios round by round.
func report(cases []bench, seen map[string][]result, echo string) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "case\tper second\tp50\tp99\tto pgbench\tto HTTP echo\t") //nolint:errcheck // Flush answers
	for _, c := range cases {
		mine := seen[c.name]
		ratio := func(other string) string {
			if other == "" || other == c.name {
				return "–"
			}
			return fmt.Sprintf("%.2f", median(mine, seen[other], func(a, b result) float64 { return a.rate / b.rate }))
		}
		toEcho := ratio(echo)
		if c.stick == "" {
			toEcho = "–"
		}
		fmt.Fprintf(w, "%s\t%.0f\t%s\t%s\t%s\t%s\t\n", c.name, //nolint:errcheck // Flush answers
			median(mine, mine, func(a, _ result) float64 { return a.rate }),
			span(median(mine, mine, func(a, _ result) float64 { return float64(a.p50) })),
			span(median(mine, mine, func(a, _ result) float64 { return float64(a.p99) })),
			ratio(c.stick), toEcho)
	}
	return w.Flush()
}

func span(ns float64) string {
	if ns == 0 {
		return "–"
	}
	return time.Duration(ns).Round(10 * time.Microsecond).String()
}

func median(a, b []result, f func(a, b result) float64) float64 {
	values := make([]float64, len(a))
	for i := range a {
		values[i] = f(a[i], b[i])
	}
	slices.Sort(values)
	return values[len(values)/2]
}
