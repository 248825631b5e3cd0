package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/policy"
)

type auditCommands struct {
	Key        auditKey        `cmd:"" help:"Print the public key that checkpoints and exports are verified with."`
	Checkpoint auditCheckpoint `cmd:"" help:"Print a signed checkpoint of the record as it is now."`
	Check      auditCheck      `cmd:"" help:"Compare the live tables with the log, and say which row is not what was recorded."`
	Export     auditExport     `cmd:"" help:"Write the record, or a participant's part of it, as one file that proves itself."`
	Recover    auditRecover    `cmd:"" help:"Go on after a restore from backup: the gap goes on record, links are void, access waits for a full sync."`
	Verify     auditVerify     `cmd:"" help:"Verify an export. Needs nothing but the file and the public key: no database, no server."`
	Pack       auditPack       `cmd:"" help:"Write one ZIP for the auditor of a participant and a period: people, changes, approvals, policies, a sample, and the record."`
}

type auditKey struct{}

// Run prints the key that signs alone on one line; of those that sign along, it
// tells beside.
func (c *auditKey) Run(ctx context.Context, p *program) error {
	return p.deed(ctx, func(ctx context.Context, h *house) error {
		keys, err := h.deeds.LogKeys(ctx)
		if err != nil {
			return err
		}
		for _, along := range keys[1:] {
			say(p.stderr, "signs along: %s\n", along)
		}
		return printLine(p.stdout, keys[0])
	})
}

func printLine(w io.Writer, line string) error {
	if _, err := fmt.Fprintln(w, line); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

type auditCheckpoint struct{}

func (c *auditCheckpoint) Run(ctx context.Context, p *program) error {
	return p.deed(ctx, func(ctx context.Context, h *house) error {
		if err := h.deeds.EnsureLogKey(ctx); err != nil {
			return err
		}
		note, err := h.deeds.SignedNow(ctx)
		if err != nil {
			return err
		}
		_, err = io.WriteString(p.stdout, note)
		return err
	})
}

type auditExport struct {
	Participant string   `placeholder:"ID" help:"Only this participant's entries, each with its proof."`
	Checkpoint  []string `placeholder:"FILE" help:"A checkpoint that somebody kept; the file will prove that the record continues it. May be given several times."`
}

func (c *auditExport) Run(ctx context.Context, p *program) error {
	older, err := checkpoints(c.Checkpoint)
	if err != nil {
		return err
	}
	return p.deed(ctx, func(ctx context.Context, h *house) error {
		if err := h.deeds.EnsureLogKey(ctx); err != nil {
			return err
		}
		var known []audit.Checkpoint
		for i, text := range older {
			one, err := audit.ParseCheckpoint(text)
			if err != nil {
				return fmt.Errorf("%s: %w", c.Checkpoint[i], err)
			}
			known = append(known, one)
		}
		listen, end := p.progressOf("exporting", "entries")
		defer end()
		return h.deeds.ExportLog(ctx, p.stdout, p.actor(), c.Participant, known, listen)
	})
}

// checkpoints reads files that hold one each.
func checkpoints(files []string) ([]string, error) {
	var texts []string
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read checkpoint: %w", err)
		}
		texts = append(texts, string(text))
	}
	return texts, nil
}

type auditVerify struct {
	File       string   `arg:"" help:"The export; - reads standard input."`
	Key        []string `required:"" sep:"none" placeholder:"PUBKEY" help:"The public key as audit key prints it, or a file that holds it. May be given several times."`
	Checkpoint []string `placeholder:"FILE" help:"A checkpoint that you kept: the record must continue it. May be given several times."`
	JSON       bool     `name:"json" help:"Print JSON."`
}

func (c *auditVerify) Run(p *program) error {
	keys, err := publicKeys(c.Key)
	if err != nil {
		return err
	}
	older, err := checkpoints(c.Checkpoint)
	if err != nil {
		return err
	}
	in, name := io.Reader(os.Stdin), "standard input"
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return fmt.Errorf("read export: %w", err)
		}
		defer f.Close() //nolint:errcheck // it was only read
		in, name = f, c.File
	}
	listen, end := p.progressOf("verifying", "entries")
	defer end()
	of := entriesIn(c.File)
	report, err := audit.Verify(in, keys, audit.VerifyOptions{
		Older: older, PolicyDigest: meaning(),
		Progress: func(done uint64) {
			if listen != nil {
				listen(int(done), max(of, int(done))) //nolint:gosec // a count
			}
		},
	})
	end()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if c.JSON {
		return printJSON(p.stdout, report)
	}
	_, err = io.WriteString(p.stdout, report.String())
	return err
}

// entriesIn is what an export says of itself, for the progress only.
func entriesIn(file string) int {
	f, err := os.Open(file)
	if err != nil {
		return 0
	}
	defer f.Close() //nolint:errcheck // it was only read
	line, err := bufio.NewReader(io.LimitReader(f, 1<<20)).ReadString('\n')
	_, after, found := strings.Cut(line, `"size":`)
	n := 0
	if _, scanned := fmt.Sscanf(after, "%d", &n); err != nil || !found || scanned != nil {
		return 0
	}
	return n
}

// publicKeys takes the text of a key, or a file's path, for each.
func publicKeys(given []string) ([]string, error) {
	var keys []string
	for _, text := range given {
		if !strings.HasPrefix(text, audit.OriginPrefix) {
			content, err := os.ReadFile(text)
			if errors.Is(err, fs.ErrNotExist) {
				return nil, usage(fmt.Errorf("--key is %q, which is neither a public key as audit key prints it nor a file", text))
			}
			if err != nil {
				return nil, fmt.Errorf("read key: %w", err)
			}
			text = string(content)
		}
		keys = append(keys, strings.TrimSpace(text))
	}
	return keys, nil
}

// meaning computes what entries from before documents were named by their bytes
// call the digest of a document: of what it means. An overlay means something
// over the policy of all before it.
func meaning() func(audit.PolicyDocument) (string, error) {
	var all *policy.Policy
	return func(d audit.PolicyDocument) (string, error) {
		if d.Participant == "" {
			p, err := policy.Parse([]byte(d.Document))
			if err != nil {
				return "", err
			}
			all = p
			return p.Digest(), nil
		}
		if all == nil {
			return "", errors.New("the policy that it lies over is not in the file")
		}
		o, err := policy.KeptOverlay([]byte(d.Document), all)
		if err != nil {
			return "", err
		}
		return o.Digest(), nil
	}
}
