// Command healthix-scim is the one program: the server, and the commands that
// work on its database. It assembles the rooms and owns none of their rules;
// data goes to stdout, everything else to stderr, and it asks no questions.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/healthix/healthix-scim/lifecycle"
)

// settingsGroup is the heading under which help shows the settings.
const settingsGroup = "Settings:"

// commands is the command line. Every command takes every setting.
type commands struct {
	Serve       serveCommand        `cmd:"" help:"Run the server."`
	Migrate     migrateCommand      `cmd:"" help:"Bring the database's schema up to date."`
	Participant participantCommands `cmd:"" help:"Organizations whose staff are provisioned."`
	Token       tokenCommands       `cmd:"" help:"Tokens for identity providers, staff and the portal."`
	Policy      policyCommands      `cmd:"" help:"Titles, roles and gates."`
	User        userCommands        `cmd:"" help:"People and their access."`
	Audit       auditCommands       `cmd:"" help:"The record, and the proof that nobody edited it."`
	Review      reviewCommands      `cmd:"" help:"Access reviews: who keeps their access."`
	Jobs        jobsCommands        `cmd:"" help:"Work that deeds promised."`
	Healthcheck healthcheckCommand  `cmd:"" help:"Ask the server at the configured address whether it is ready."`
	Version     versionCommand      `cmd:"" help:"Print the version."`
	Completion  completionCommand   `cmd:"" help:"Print a completion script for bash, zsh or fish."`

	Config   string   `placeholder:"FILE.yaml" help:"Read settings from a file: the variables' names without HEALTHIX_, in lower case."`
	Settings settings `embed:"" group:"Settings:"`
}

// usageError is a wrong command line: exit 2.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usage(err error) error { return usageError{err} }

func main() {
	os.Exit(run(os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// run answers the exit code: 0 done, 1 failed, 2 wrong usage.
func run(args, environ []string, stdout, stderr io.Writer) int {
	var c commands
	from := &resolver{environ: environ}
	parser, err := newParser(&c, from, stdout, stderr)
	if err != nil {
		say(stderr, "healthix-scim: %v\n", err)
		return 1
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		return complain(stderr, parsedFar(err), usage(plain(err)))
	}
	if err := c.Settings.finish(from.given.from); err != nil {
		return complain(stderr, parsed.Command(), usage(err))
	}
	level, err := c.Settings.level()
	if err != nil {
		return complain(stderr, parsed.Command(), usage(err))
	}
	// A second signal ends the process at once: it finds the handler gone.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	context.AfterFunc(ctx, stop)

	p := &program{settings: c.Settings, sources: from.given.from, stdout: stdout, stderr: stderr, log: newLog(stderr, level)}
	parsed.BindTo(ctx, (*context.Context)(nil))
	return complain(stderr, parsed.Command(), parsed.Run(p, parser.Model))
}

func newParser(c *commands, from *resolver, stdout, stderr io.Writer) (*kong.Kong, error) {
	return kong.New(c,
		kong.Name("healthix-scim"),
		kong.Description("SCIM 2.0 server: identity providers push people, titles become roles, access is released when every gate is open."),
		kong.Writers(stdout, stderr),
		kong.Resolvers(from),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true, WrapUpperBound: 110}),
		kong.ValueFormatter(helpText),
		kong.Help(printHelp),
	)
}

// complain writes an error as one line and answers the exit code.
func complain(stderr io.Writer, command string, err error) int {
	if err == nil {
		return 0
	}
	var fault *lifecycle.Fault
	text := err.Error()
	if errors.As(err, &fault) && fault.Kind != lifecycle.KindInternal && fault.Kind != lifecycle.KindUnavailable {
		text = fault.Message // the sentence for people; what it is wrapped in repeats the command
	}
	say(stderr, "healthix-scim: %s\n", oneLine.Replace(text))
	var wrong usageError
	switch {
	case errors.As(err, &wrong):
		name, _, _ := strings.Cut(command, " <")
		say(stderr, "%s --help shows the usage\n", strings.TrimSpace("healthix-scim "+name))
		return 2
	case fault != nil && fault.Kind == lifecycle.KindInvalid:
		return 2
	}
	return 1
}

// oneLine joins what drivers, and several errors at once, spread over lines.
var oneLine = strings.NewReplacer(":\n\t", ": ", "\n\t", "; ", "\n", "; ")

// say tells people something beside the data. When it cannot be written, there is
// nobody to tell that either.
func say(w io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(w, format, args...)
}

// parsedFar is the command as far as a wrong command line was understood.
func parsedFar(err error) string {
	var wrong *kong.ParseError
	if !errors.As(err, &wrong) || wrong.Context == nil {
		return ""
	}
	return wrong.Context.Command()
}

// plain frees a mistake in environment or file from the flag on whose behalf it
// was found.
func plain(err error) error {
	var mistake settingError
	if errors.As(err, &mistake) {
		return mistake
	}
	return err
}

// helpText names a setting's variable beside its help.
func helpText(v *kong.Value) string {
	if v.Flag == nil || !isSetting(v.Flag) {
		return v.Help
	}
	return strings.TrimSuffix(v.Help, ".") + " (" + variable(v.Name) + ")."
}

// printHelp shows the settings with serve only: twenty of them would hide a
// command's own flags.
func printHelp(options kong.HelpOptions, ctx *kong.Context) error {
	selected := ctx.Selected()
	serve := selected != nil && selected.Name == "serve"
	for _, f := range ctx.Model.Flags {
		if isSetting(f) {
			f.Hidden = !serve
		}
	}
	if err := kong.DefaultHelpPrinter(options, ctx); err != nil {
		return err
	}
	if serve {
		return nil
	}
	_, err := fmt.Fprintln(ctx.Stdout, "\nEvery command takes the settings too, as flags or HEALTHIX_… variables: healthix-scim serve --help.")
	return err
}
