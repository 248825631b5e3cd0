package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"

	"github.com/healthix/healthix-scim/connector/mail"
	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
	"github.com/healthix/healthix-scim/storage/sqlstore"
)

// program is what every command works with.
type program struct {
	settings settings
	sources  sources
	stdout   io.Writer
	stderr   io.Writer
	log      *slog.Logger
}

// house is the store and the deeds over it.
type house struct {
	store storage.Store
	deeds *lifecycle.Service
	keys  keys
}

// openStore opens the database, and brings its schema up to date unless told
// not to.
func (p *program) openStore(ctx context.Context) (storage.Store, error) {
	store, err := sqlstore.Open(ctx, p.settings.DatabaseURL, sqlstore.Options{Migrate: p.settings.Migrate, Log: p.log})
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	return store, nil
}

// openToRead is openStore for commands that only look: it never makes a new
// database of a misspelt path.
func (p *program) openToRead(ctx context.Context) (storage.Store, error) {
	if there, path := p.databaseThere(); !there {
		return nil, fmt.Errorf("there is no database at %s; healthix-scim serve or migrate makes one, %s names another", path, variable("database-url"))
	}
	return p.openStore(ctx)
}

// databaseThere says whether the embedded database's file exists; of a server
// only connecting tells.
func (p *program) databaseThere() (there bool, path string) {
	path = p.settings.embedded()
	if path == "" {
		return true, ""
	}
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist), path
}

// openHouse opens the store with the deeds over it. The caller closes the
// store.
func (p *program) openHouse(ctx context.Context, portal string) (*house, error) {
	if err := checkKeys(p.settings); err != nil {
		return nil, err
	}
	sender, err := mail.Open(p.settings.MailURL, p.settings.MailFrom)
	if err != nil {
		return nil, err
	}
	training, err := p.settings.lms()
	if err != nil {
		return nil, err
	}
	if err := lifecycle.CheckTemplates(p.templates(portal)); err != nil {
		return nil, fmt.Errorf("%s (%s): %w", variable("mail-templates"), p.settings.MailTemplates, err)
	}
	out, err := p.settings.outlets(sender)
	if err != nil {
		return nil, err
	}
	store, err := p.openStore(ctx)
	if err != nil {
		return nil, err
	}
	h := &house{store: store}
	if h.keys, err = loadKeys(p.settings); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	h.deeds, err = lifecycle.New(lifecycle.Options{
		Store: store, Mailer: post{sender}, Key: h.keys.secret, PortalURL: portal, Log: p.log, LMS: training, Templates: p.templates(portal),
		LogKeys: h.keys.log, Offsite: out.offsite, OffsiteEvery: out.every, Stream: out.stream,
	})
	if err == nil {
		err = h.deeds.EnsurePolicy(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return h, nil
}

// templates is the folder of mail templates; nil where nothing is mailed: no
// command is kept from its deed by a mistake in one.
func (p *program) templates(portal string) fs.FS {
	if p.settings.MailTemplates == "" || portal == "" {
		return nil
	}
	return os.DirFS(p.settings.MailTemplates)
}

// actor is who is on record for what a command does.
func (p *program) actor() lifecycle.Actor {
	return lifecycle.Actor{Kind: "operator", Subject: p.settings.Actor, Label: "command line"}
}

// deed opens the house for one command and closes it again.
func (p *program) deed(ctx context.Context, do func(ctx context.Context, h *house) error) (err error) {
	h, err := p.openHouse(ctx, "") // links are mailed by the server alone
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.store.Close()) }()
	return do(ctx, h)
}

// look opens the store for one command that only reads.
func (p *program) look(ctx context.Context, do func(ctx context.Context, read storage.Store) error) (err error) {
	store, err := p.openToRead(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return do(ctx, store)
}

// post hands lifecycle's mails to the connector and its refusals back.
type post struct{ sender mail.Sender }

func (p post) Send(ctx context.Context, m lifecycle.Mail) error {
	err := p.sender.Send(ctx, mail.Message{ID: m.ID, To: m.To, Subject: m.Subject, Text: m.Text, HTML: m.HTML})
	if errors.Is(err, mail.ErrRefused) {
		return fmt.Errorf("%w: %w", storage.ErrGiveUp, err)
	}
	return err
}

// named says what was not found in the words of who asked for it.
func named(what, id string, err error) error {
	if errors.Is(err, storage.ErrNotFound) {
		return fmt.Errorf("there is no %s %s", what, id)
	}
	return err
}
