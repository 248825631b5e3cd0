package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

type policyLint struct {
	File        string `arg:"" help:"The document (YAML or JSON); its title table may be in a CSV file beside it. - reads standard input."`
	Tests       string `placeholder:"FILE" help:"The document's tests (CSV). Default: NAME.tests.csv beside NAME.yaml, if it is there."`
	Participant string `help:"The document is the overlay of this participant; it is held against the policy in force."`
	JSON        bool   `name:"json" help:"Print JSON."`
}

// lintView is what lint says, for other programs.
type lintView struct {
	File     string           `json:"file"`
	Digest   *string          `json:"digest"` // null when the document cannot be used
	Errors   int              `json:"errors"`
	Warnings int              `json:"warnings"`
	Findings []policy.Finding `json:"findings"`
}

func (c *policyLint) Run(ctx context.Context, p *program) error {
	from, err := readSource(c.File)
	if err != nil {
		return err
	}
	v := lintView{File: from.Name, Findings: []policy.Finding{}}
	summary := ""
	if c.Participant != "" {
		summary, err = c.overlay(ctx, p, from, &v)
	} else {
		summary, err = c.policy(p, from, &v)
	}
	if err != nil {
		return err
	}
	for _, f := range v.Findings {
		switch f.Severity {
		case policy.SeverityError:
			v.Errors++
		case policy.SeverityWarning:
			v.Warnings++
		}
	}
	switch {
	case c.JSON:
		err = printJSON(p.stdout, v)
	default:
		p.findings(from.Name, v.Findings)
		if v.Errors == 0 {
			_, err = fmt.Fprintf(p.stdout, "%s: %s, digest %s\n", from.Name, summary, text(v.Digest))
		}
	}
	if err == nil && v.Errors > 0 {
		err = fmt.Errorf("%s has %d mistake(s)", from.Name, v.Errors)
	}
	return err
}

// policy lints a policy of all.
func (c *policyLint) policy(p *program, from policy.Source, v *lintView) (summary string, err error) {
	fixtures, err := readFixtures(c.Tests, c.File)
	var wrong *policy.DocumentError
	if errors.As(err, &wrong) {
		v.Findings = append(v.Findings, wrong.Findings()...)
	} else if err != nil {
		return "", err
	}
	checked, findings := policy.LintSource(from, policy.LintOptions{Fixtures: fixtures, LMS: p.settings.LitmosURL != ""})
	v.Findings = append(v.Findings, findings...)
	if checked == nil {
		return "", nil
	}
	digest := checked.Digest()
	v.Digest = &digest
	return fmt.Sprintf("%d roles", len(checked.Roles())), nil
}

// overlay lints the overlay of a participant.
func (c *policyLint) overlay(ctx context.Context, p *program, from policy.Source, v *lintView) (summary string, err error) {
	if c.Tests != "" {
		return "", usage(errors.New("an overlay has no tests; leave --tests out"))
	}
	return "overlay of " + c.Participant, p.look(ctx, func(ctx context.Context, read storage.Store) error {
		if _, err := read.GetParticipant(ctx, c.Participant); err != nil {
			return named("participant", c.Participant, err)
		}
		all, err := policyInForce(ctx, read, "")
		if err != nil {
			return err
		}
		overlay, err := policy.ParseOverlay(from.Text, all)
		var wrong *policy.DocumentError
		switch {
		case errors.As(err, &wrong):
			v.Findings = append(v.Findings, wrong.Findings()...)
		case err != nil:
			return err
		default:
			digest := overlay.Digest()
			v.Digest, v.Findings = &digest, append(v.Findings, overlay.Lint(all)...)
		}
		return nil
	})
}

// findings tells a line for each, as compilers do.
func (p *program) findings(name string, findings []policy.Finding) {
	for _, f := range findings {
		line := fmt.Sprintf("%s:%d: %s: ", cmp.Or(f.File, name), max(1, f.Line), f.Severity)
		if f.Key != "" {
			line += f.Key + ": "
		}
		line += clean(f.Message)
		if f.Code != policy.CodeDocument {
			line += " [" + f.Code + "]"
		}
		say(p.stderr, "%s\n", line)
	}
}

// wrongDocument prints what is wrong with a document, each with its place, and
// answers that it is. Any other error is answered as it came.
func (p *program) wrongDocument(name string, err error) error {
	var wrong *policy.DocumentError
	var fault *lifecycle.Fault
	var problems []policy.Problem
	switch {
	case errors.As(err, &wrong):
		problems = wrong.Problems
	case errors.As(err, &fault):
		problems = fault.Problems
	}
	if len(problems) == 0 {
		return err
	}
	p.findings(name, (&policy.DocumentError{Problems: problems}).Findings())
	return fmt.Errorf("%s has %d mistake(s)", name, len(problems))
}

type policyTest struct {
	File  string `arg:"" help:"The document (YAML or JSON); its title table may be in a CSV file beside it. - reads standard input."`
	Tests string `placeholder:"FILE" help:"Its tests (CSV). Default: NAME.tests.csv beside NAME.yaml."`
	JUnit string `name:"junit" placeholder:"FILE" help:"Write the report as JUnit XML too, for build servers."`
	JSON  bool   `name:"json" help:"Print JSON."`
}

func (c *policyTest) Run(p *program) error {
	from, err := readSource(c.File)
	if err != nil {
		return err
	}
	fixtures, err := readFixtures(c.Tests, c.File)
	if err != nil {
		return p.wrongDocument(from.Name, err)
	}
	if fixtures == nil {
		if c.File == stdin {
			return usage(errors.New("a document from standard input has no tests beside it; name them with --tests"))
		}
		return fmt.Errorf("there are no tests at %s; write them (title,department,…,role,row), or name them with --tests", policy.FixturesName(c.File))
	}
	checked, err := policy.ParseSource(from)
	if err != nil {
		return p.wrongDocument(from.Name, err)
	}
	report := checked.Test(fixtures)
	if c.JUnit != "" {
		xml, err := report.JUnit()
		if err != nil {
			return err
		}
		if err := os.WriteFile(c.JUnit, xml, 0o644); err != nil { //nolint:gosec // a report that others read
			return fmt.Errorf("write report: %w", err)
		}
	}
	if c.JSON {
		err = printJSON(p.stdout, report)
	} else {
		for _, t := range report.Failed() {
			say(p.stderr, "%s:%d: %s: %s\n", t.Fixture.File, t.Fixture.Line, clean(t.Fixture.String()), clean(t.Fault))
		}
		for _, row := range report.Uncovered {
			say(p.stderr, "row %s: no passing test is answered by it\n", row)
		}
		_, err = fmt.Fprintf(p.stdout, "%d of %d tests passed, %d of %d rows covered\n",
			len(report.Results)-len(report.Failed()), len(report.Results), len(report.Covered), len(report.Covered)+len(report.Uncovered))
	}
	if err == nil && !report.Passed() {
		err = fmt.Errorf("%d of %d tests failed, %d row(s) not covered", len(report.Failed()), len(report.Results), len(report.Uncovered))
	}
	return err
}

type policySchema struct{}

func (c *policySchema) Run(p *program) error {
	schema, err := policy.Schema()
	if err != nil {
		return err
	}
	_, err = p.stdout.Write(schema)
	return err
}

// stdin is how a command names standard input.
const stdin = "-"

// readSource reads a document, with what it names beside it at hand.
func readSource(file string) (policy.Source, error) {
	const largest = 9 << 20 // what is larger than a document may be is refused when it is parsed
	if file == stdin {
		text, err := io.ReadAll(io.LimitReader(os.Stdin, largest))
		if err != nil {
			return policy.Source{}, fmt.Errorf("read policy: %w", err)
		}
		return policy.Source{Name: "standard input", Text: text}, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return policy.Source{}, fmt.Errorf("read policy: %w", err)
	}
	folder := filepath.Dir(file)
	return policy.Source{Name: filepath.ToSlash(file), Text: text, Read: func(name string) ([]byte, error) {
		return os.ReadFile(filepath.Join(folder, filepath.FromSlash(name)))
	}}, nil
}

// readFixtures reads a document's tests: the file that was named, else the one
// beside the document, nil when there is none.
func readFixtures(named, document string) ([]policy.Fixture, error) {
	file := named
	if file == "" {
		if document == stdin {
			return nil, nil
		}
		file = policy.FixturesName(document)
	}
	csv, err := os.ReadFile(file)
	if named == "" && errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read tests: %w", err)
	}
	return policy.ParseFixtures(filepath.ToSlash(file), csv)
}
