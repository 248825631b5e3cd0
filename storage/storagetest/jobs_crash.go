package storagetest

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/storage"
)

// child takes jobs until it is killed: those of kind hang it never ends, and
// those of kind chain promise the next one in a deed of their own, whose commit
// it reports.
func child(t *testing.T, s storage.Store) {
	err := s.Work(t.Context(), func(ctx context.Context, j storage.Job) error {
		if j.Kind == "hang" {
			fmt.Println("took", j.Key)
			time.Sleep(time.Hour)
		}
		next := j.Key + "+"
		err := s.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
			return tx.Enqueue(ctx, "chain", next, "", time.Time{})
		})
		if err == nil {
			fmt.Println("promised", next)
		}
		return err
	})
	t.Errorf("Work in the child: %v", err)
}

// spawn starts a child on the database; kill answers what else it said.
func (b *jobsBench) spawn() (lines *bufio.Scanner, kill func() []string) {
	b.Helper()
	root, _, _ := strings.Cut(b.Name(), "/")
	c := exec.Command(os.Args[0], "-test.run=^"+root+"$", "-test.count=1") //nolint:gosec,noctx // this test, once more
	c.Env = append(os.Environ(), jobsChild+"="+b.address)
	out, err := c.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	lines = bufio.NewScanner(out)
	kill = sync.OnceValue(func() (rest []string) {
		_ = c.Process.Kill() // SIGKILL
		for lines.Scan() {
			rest = append(rest, lines.Text())
		}
		_ = c.Wait() // it was killed, and says so
		return rest
	})
	b.Cleanup(func() { kill() })
	return lines, kill
}

func crash(b *jobsBench) {
	lines, kill := b.spawn()
	b.enqueue("hang", "1", 0)
	if !lines.Scan() || lines.Text() != "took 1" {
		b.Fatalf("the child took no job: %q", lines.Text())
	}
	if j := b.one(); j.State != "running" || j.Attempt != 1 {
		b.Fatalf("job = %+v, want the child's", j)
	}
	kill()
	b.work(b.Store, func(context.Context, storage.Job) error { return nil })
	if j := b.awaitState("completed"); j.Attempt != 2 || len(j.Errors) != 1 {
		b.Errorf("job = %+v, want a second attempt and why", j)
	}
}

// Every promise whose commit was reported is kept, wherever the kill fell.
func crashUnderLoad(b *jobsBench) {
	promised := map[string]bool{}
	note := func(line string) {
		if key, ok := strings.CutPrefix(line, "promised "); ok {
			promised[key] = true
		}
	}
	for i := range 12 {
		b.enqueue("chain", fmt.Sprint(i), 0)
	}
	for range 2 {
		lines, kill := b.spawn()
		for n := 0; n < 100 && lines.Scan(); n++ {
			note(lines.Text())
		}
		for _, line := range kill() {
			note(line)
		}
	}
	if len(promised) < 100 {
		b.Fatalf("the children promised only %d jobs", len(promised))
	}
	b.work(b.Store, func(context.Context, storage.Job) error { return nil })
	b.await("all completed", func() bool { return len(b.jobs("completed")) == len(b.jobs("")) })
	for _, j := range b.jobs("completed") {
		delete(promised, j.Key)
	}
	if len(promised) != 0 {
		b.Errorf("lost: %v", promised)
	}
}
