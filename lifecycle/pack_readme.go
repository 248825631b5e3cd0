package lifecycle

import (
	"context"
	_ "embed" // the text that goes into every pack
	"io"
	"text/template"
)

//go:embed pack_readme.txt
var packReadme string

var readme = template.Must(template.New("README.txt").Parse(packReadme))

// preface writes what an auditor reads first, and what the proofs rest on.
func (p *pack) preface(context.Context) error {
	if err := p.listed("README.txt", func(w io.Writer) error { return readme.Execute(w, p.m) }); err != nil {
		return err
	}
	if err := p.text(PackKeyFile, p.m.Keys[0]+"\n"); err != nil {
		return err
	}
	return p.text(PackBeginFile, p.m.Checkpoint)
}
