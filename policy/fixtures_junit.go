package policy

import (
	"encoding/xml"
	"fmt"
	"strings"
)

type junitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	File    string        `xml:"file,attr,omitempty"`
	Line    int           `xml:"line,attr,omitempty"`
	Failure *junitFailure `xml:"failure"`
	Output  string        `xml:"system-out,omitempty"`
}

type junitFailure struct {
	Type    string `xml:"type,attr"`
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// JUnit writes the report in the XML that build servers read: one test case for
// each fixture, and one for the coverage of rows. It holds no time, so that the
// same report is the same text.
func (r TestReport) JUnit() ([]byte, error) {
	s := junitSuite{Name: "policy", Tests: len(r.Results) + 1}
	for _, t := range r.Results {
		c := junitCase{Class: "policy.fixtures", Name: t.Fixture.String(), File: t.Fixture.File, Line: t.Fixture.Line, Output: t.Reason}
		if !t.Passed {
			s.Failures++
			c.Failure = &junitFailure{Type: "fixture", Message: t.Fault, Text: t.Reason}
		}
		s.Cases = append(s.Cases, c)
	}
	c := junitCase{
		Class: "policy.coverage", Name: "every row is covered",
		Output: fmt.Sprintf("%d of %d rows are covered.", len(r.Covered), len(r.Covered)+len(r.Uncovered)),
	}
	if n := len(r.Uncovered); n > 0 {
		s.Failures++
		c.Failure = &junitFailure{Type: "coverage", Message: fmt.Sprintf("%d rows without a passing test", n), Text: strings.Join(r.Uncovered, "\n")}
	}
	s.Cases = append(s.Cases, c)
	text, err := xml.MarshalIndent(struct {
		XMLName xml.Name `xml:"testsuites"`
		Suite   junitSuite
	}{Suite: s}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write JUnit: %w", err)
	}
	return append([]byte(xml.Header), append(text, '\n')...), nil
}
