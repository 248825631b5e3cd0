package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/healthix/healthix-scim/connector/mail"
	"github.com/healthix/healthix-scim/connector/offsite"
	"github.com/healthix/healthix-scim/connector/stream"
	"github.com/healthix/healthix-scim/lifecycle"
)

// outlets are the places outside that hear of the record; nil where it has none.
type outlets struct {
	offsite lifecycle.Offsite
	every   time.Duration
	stream  lifecycle.Stream
}

// off is a setting's word for none.
const off = "off"

// checkpointURL is where checkpoints go, "" for nowhere.
func (s *settings) checkpointURL() string {
	switch path := s.embedded(); {
	case s.CheckpointURL == off:
		return ""
	case s.CheckpointURL == "" && path != "":
		return "file://" + filepath.Join(filepath.Dir(path), "checkpoints")
	default:
		return s.CheckpointURL
	}
}

// checkOutlets finds mistakes in the settings before anything is opened.
func (s *settings) checkOutlets() error {
	if s.StreamToken != "" && s.StreamURL == "" {
		return fmt.Errorf("%s is given without %s", variable("stream-token"), variable("stream-url"))
	}
	_, err := s.outlets(nil)
	return err
}

func (s *settings) outlets(sender mail.Sender) (outlets, error) {
	const least = time.Second
	every, err := time.ParseDuration(s.CheckpointEvery)
	if err != nil || every < least {
		return outlets{}, fmt.Errorf("%s is %q; expected a time such as 1h or 15m, %s or more", variable("checkpoint-every"), s.CheckpointEvery, least)
	}
	out := outlets{every: every}
	if address := s.checkpointURL(); address != "" {
		place, err := offsite.Open(address, func(ctx context.Context, id, to, subject, text string) error {
			return sender.Send(ctx, mail.Message{ID: id, To: to, Subject: subject, Text: text})
		})
		if err != nil {
			return outlets{}, fmt.Errorf("%s: %w", variable("checkpoint-url"), err)
		}
		out.offsite = place
	}
	if s.StreamURL != "" {
		sink, err := stream.Open(s.StreamURL, s.StreamToken)
		if err != nil {
			return outlets{}, fmt.Errorf("%s: %w", variable("stream-url"), err)
		}
		out.stream = drain{sink}
	}
	return out, nil
}

// drain hands lifecycle's lines to the connector.
type drain struct{ sink stream.Sink }

func (d drain) Send(ctx context.Context, lines []lifecycle.StreamLine) error {
	out := make([]stream.Line, len(lines))
	for i, l := range lines {
		out[i] = stream.Line(l)
	}
	return d.sink.Send(ctx, out)
}

const (
	compareTime = 10 * time.Second // how long the start waits for the last checkpoint that left
	waitEvery   = 500 * time.Millisecond
)

// compare looks at the start whether the database was restored from a backup. A
// place that does not answer keeps nobody out: it is asked again until it does.
func (s *server) compare(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, compareTime)
	defer cancel()
	switch gap, err := s.house.deeds.FindGap(ctx); {
	case err != nil:
		s.log.Warn("whether the database was restored from a backup is not known yet", "error", err)
	case gap != nil:
		s.log.Error(gap.Error())
	}
}

// halted says why nothing may be written.
func (s *server) halted() error {
	if gap := s.house.deeds.Gap(); gap != nil {
		return gap
	}
	return nil
}

// whileSound does work that acts on what the database believes, but for as long
// as something halts it: whether that stands from the start or is found while the
// work goes on. Work ends with its context, and begins anew. every is how often
// somebody looks.
func whileSound(ctx context.Context, halted func() error, every time.Duration, work func(ctx context.Context) error) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	until := func(ctx context.Context, what func() bool) {
		for !what() {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}
	for {
		until(ctx, func() bool { return halted() == nil })
		if ctx.Err() != nil {
			return nil
		}
		within, end := context.WithCancel(ctx)
		var watch sync.WaitGroup
		watch.Go(func() {
			defer end()
			until(within, func() bool { return halted() != nil })
		})
		err := work(within)
		broken := within.Err() != nil
		end()
		watch.Wait()
		if !broken || err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
	}
}

// recoverEvery is how often a participant is looked at whose identity provider
// is to tell of everybody.
const recoverEvery = 5 * time.Second

func (s *server) recoveries(ctx context.Context) {
	tick := time.NewTicker(recoverEvery)
	defer tick.Stop()
	for {
		if n, err := s.house.deeds.SweepRecovering(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("look who was told of since the restore", "error", err)
		} else if n > 0 {
			s.log.Info("participants opened after the restore", "participants", n)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// gaugeRecord shows whether the log goes on, and how it reaches the outside.
func (s *server) gaugeRecord(ctx context.Context) {
	if n, err := s.house.store.CountUnplaced(ctx); err == nil {
		s.metrics.Unplaced(n)
	}
	if s.offsite {
		if state, err := s.house.deeds.OffsiteState(ctx); err == nil {
			s.metrics.Checkpoints(state, s.house.deeds.Now())
		}
	}
	if state, err := s.house.deeds.StreamState(ctx); err == nil && state != nil {
		s.metrics.Stream(*state)
	}
}
