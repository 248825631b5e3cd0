package main

import (
	"context"
	"fmt"

	"github.com/healthix/healthix-scim/storage/sqlstore"
)

type migrateCommand struct {
	Check bool `help:"Change nothing; fail when the schema is not up to date."`
}

func (c *migrateCommand) Run(ctx context.Context, p *program) error {
	if !c.Check {
		if err := sqlstore.Migrate(ctx, p.settings.DatabaseURL); err != nil {
			return fmt.Errorf("migrate: %w", err)
		}
		say(p.stderr, "the schema is up to date\n")
		return nil
	}
	if there, path := p.databaseThere(); !there {
		return fmt.Errorf("there is no database at %s; healthix-scim migrate makes one", path)
	}
	n, err := sqlstore.Pending(ctx, p.settings.DatabaseURL)
	if err != nil {
		return fmt.Errorf("check migrations: %w", err)
	}
	if n > 0 {
		return fmt.Errorf("%d migration(s) are pending; healthix-scim migrate applies them", n)
	}
	say(p.stderr, "the schema is up to date\n")
	return nil
}
