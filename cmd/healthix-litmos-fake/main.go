// Command healthix-litmos-fake is a stand-in for Litmos's API v1: to try
// enrolment and training without an account, and to see what a bad day of
// Litmos does. It holds everything in memory and must never hold real people.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"reflect"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/healthix/healthix-scim/connector/litmos/litmosfake"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch err := run(ctx, os.Args[1:], os.Stderr); {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		os.Exit(2) //nolint:gocritic // stop only frees the signal handler
	default:
		fmt.Fprintln(os.Stderr, "healthix-litmos-fake:", err)
		os.Exit(1)
	}
}

// errUsage: the flags are wrong, and the reader has been told.
var errUsage = errors.New("wrong usage")

type settings struct {
	addr, hook string
	courses    []string
	paths      []string
	options    litmosfake.Options
}

// parse reads the flags; there is one for every knob.
func parse(args []string, stderr io.Writer) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("healthix-litmos-fake", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, "healthix-litmos-fake [flags]\n\n"+ //nolint:errcheck // nothing is lost with it
			"A stand-in for Litmos, on loopback unless -addr says otherwise. GET / tells what to do with it.\n\n")
		flags.PrintDefaults()
	}
	flags.StringVar(&s.addr, "addr", "127.0.0.1:9090", "listen `address`")
	flags.StringVar(&s.options.Key, "key", "fake-key", "the API key it accepts")
	flags.StringVar(&s.hook, "hook", "", "`URL` that gets the webhooks, such as http://127.0.0.1:8080/api/v1/hooks/litmos/SECRET")
	flags.Uint64Var(&s.options.Seed, "seed", uint64(time.Now().UnixNano()), "of what happens at random") //nolint:gosec // after 1970
	flags.Func("course", "offer a course, `ID=NAME`; may be repeated", add(&s.courses))
	flags.Func("path", "offer a learning path, `ID=NAME:COURSE,COURSE`; may be repeated", add(&s.paths))
	knobs := reflect.ValueOf(&s.options.Knobs).Elem()
	for i := range knobs.NumField() {
		field := knobs.Type().Field(i)
		bind(flags, knobs.Field(i).Addr().Interface(), kebab(field.Tag.Get("json")), field.Tag.Get("help"))
	}
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return settings{}, err
	case err != nil:
		return settings{}, errUsage // flag has told
	}
	if flags.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if u, parseErr := url.Parse(s.hook); err == nil && s.hook != "" && (parseErr != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		err = errors.New("-hook is no http or https URL") // it may hold a secret: not repeated
	}
	if err == nil {
		err = s.options.Knobs.Check()
	}
	if err != nil {
		fmt.Fprintln(stderr, "healthix-litmos-fake:", err) //nolint:errcheck // nothing is lost with it
		return settings{}, errUsage
	}
	s.options.Hook, s.options.Now = s.hook, time.Now
	return s, nil
}

// bind makes a flag of a knob.
func bind(flags *flag.FlagSet, knob any, name, help string) {
	switch knob := knob.(type) {
	case *int:
		flags.IntVar(knob, name, *knob, help)
	case *float64:
		flags.Float64Var(knob, name, *knob, help)
	case *bool:
		flags.BoolVar(knob, name, *knob, help)
	case *string:
		flags.StringVar(knob, name, *knob, help)
	case *litmosfake.Duration:
		flags.TextVar(knob, name, *knob, help)
	case *[]string:
		flags.Func(name, help, func(text string) error {
			*knob = strings.Split(text, ",")
			return nil
		})
	default:
		panic("a knob of a type that is no flag: " + name)
	}
}

// kebab turns perMinute into per-minute.
func kebab(name string) string {
	var b strings.Builder
	for _, r := range name {
		if unicode.IsUpper(r) {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

func add(list *[]string) func(string) error {
	return func(text string) error {
		*list = append(*list, text)
		return nil
	}
}

// offer fills the catalogue; without flags, with two courses and a path.
func offer(f *litmosfake.Fake, s settings) error {
	if len(s.courses) == 0 && len(s.paths) == 0 {
		s.courses = []string{"C-POLICY=New York State policy, privacy & consent", "C-CLINICAL=Clinical portal"}
		s.paths = []string{"LP-CLINICAL=Clinical access:C-POLICY,C-CLINICAL"}
	}
	for _, text := range s.courses {
		id, name, ok := strings.Cut(text, "=")
		if !ok || id == "" {
			return fmt.Errorf("course %q: want ID=NAME", text)
		}
		f.AddCourse(id, name)
	}
	for _, text := range s.paths {
		id, rest, ok := strings.Cut(text, "=")
		colon := strings.LastIndexByte(rest, ':')
		if !ok || id == "" || colon < 0 {
			return fmt.Errorf("learning path %q: want ID=NAME:COURSE,COURSE", text)
		}
		if err := f.AddPath(id, rest[:colon], strings.Split(rest[colon+1:], ",")...); err != nil {
			return err
		}
	}
	return nil
}

func run(ctx context.Context, args []string, stderr io.Writer) error {
	s, err := parse(args, stderr)
	if err != nil {
		return err
	}
	s.options.Log = slog.New(slog.NewTextHandler(stderr, nil))
	fake := litmosfake.New(s.options)
	defer fake.Close()
	if err := offer(fake, s); err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.addr)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	server := &http.Server{Handler: fake, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	fmt.Fprintf(stderr, "the fake Litmos listens: HEALTHIX_LITMOS_URL=http://%s/v1.svc; what it can do: http://%[1]s/\n", listener.Addr()) //nolint:errcheck // nothing is lost with it
	select {
	case err := <-ended:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	fake.Close() // frees slow answers, so that the server can end
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		return fmt.Errorf("shut down: %w", err)
	}
	return nil
}
