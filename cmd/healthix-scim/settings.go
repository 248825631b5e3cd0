package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
)

// settings are what the program is told. Every command takes every one of them
// as a flag; the variable is HEALTHIX_ and the flag's name in capitals. Tags are
// the only list there is: help, --print-config, the file's keys and the table in
// docs/operations.md are made from or tested against it.
type settings struct {
	Addr            string   `name:"addr" placeholder:"HOST:PORT" default:"127.0.0.1:8080" help:"Listen address; off loopback it needs TLS or trusted proxies."`
	BaseURL         string   `name:"base-url" placeholder:"URL" help:"Public URL, for links and SCIM locations; mandatory off loopback. Default: http://ADDR."`
	TLSCertFile     string   `name:"tls-cert-file" placeholder:"FILE" help:"TLS certificate (PEM, chain after it)."`
	TLSKeyFile      string   `name:"tls-key-file" placeholder:"FILE" help:"Private key of the TLS certificate (PEM)."`
	TrustedProxies  []string `name:"trusted-proxies" placeholder:"CIDR" sep:"," help:"Proxies that may set Forwarded and X-Forwarded-For, comma-separated."`
	DatabaseURL     string   `name:"database-url" placeholder:"URL" secret:"url" default:"sqlite://healthix.db" help:"sqlite://PATH (sqlite:///abs is absolute) or postgres://USER:PASSWORD@HOST/NAME."`
	DatabaseURLFile string   `name:"database-url-file" placeholder:"FILE" help:"File that holds the database URL."`
	Migrate         bool     `name:"migrate" negatable:"" default:"true" help:"Bring the schema up to date at start."`
	SecretKeyFile   string   `name:"secret-key-file" placeholder:"FILE" help:"Root of activation codes and cursors: the base64 of 32 random bytes or more. Default: generated beside the embedded database."`
	TokenKeyFile    string   `name:"token-key-file" placeholder:"FILE" help:"Ed25519 key that signs tokens (PEM, PKCS#8). Default: generated beside the embedded database."`
	LogKeyFile      string   `name:"log-key-file" placeholder:"FILE" help:"Ed25519 key that signs checkpoints of the record (PEM, PKCS#8; keys of before may follow and sign along). Default: generated beside the embedded database."`
	CheckpointURL   string   `name:"checkpoint-url" placeholder:"URL" secret:"outlet" help:"Where checkpoints of the record go: file://DIR, mailto:ADDRESS, https://HOST/PATH or off. Default: the folder checkpoints beside the embedded database."`
	CheckpointEvery string   `name:"checkpoint-every" placeholder:"TIME" default:"1h" help:"How often a checkpoint goes there, when something is new: 1s or more."`
	StreamURL       string   `name:"stream-url" placeholder:"URL" secret:"outlet" help:"Where entries of the record go: file:///PATH, syslog://HOST:PORT, syslog+tls://, syslog+udp:// or https://HOST/PATH."`
	StreamToken     string   `name:"stream-token" placeholder:"TOKEN" secret:"whole" help:"Bearer token of the stream's HTTP endpoint."`
	StreamTokenFile string   `name:"stream-token-file" placeholder:"FILE" help:"File that holds the stream's token."`
	MailURL         string   `name:"mail-url" placeholder:"URL" secret:"url" default:"file://mail" help:"file://DIR, smtp://[USER:PASSWORD@]HOST[:PORT] or smtps://."`
	MailURLFile     string   `name:"mail-url-file" placeholder:"FILE" help:"File that holds the mail URL."`
	MailFrom        string   `name:"mail-from" placeholder:"ADDRESS" default:"no-reply@localhost" help:"Sender of mails."`
	MailTemplates   string   `name:"mail-templates" placeholder:"DIR" help:"Folder of NAME.txt and NAME.html that replace the built-in mail templates, each by its name."`
	PortalURL       string   `name:"portal-url" placeholder:"URL" help:"Where activation links point. Default: BASE_URL/portal, where a stand-in page answers."`
	LitmosURL       string   `name:"litmos-url" placeholder:"URL" help:"The LMS, such as https://api.litmos.com/v1.svc: people are enrolled there before they are invited."`
	LitmosAPIKey    string   `name:"litmos-api-key" placeholder:"KEY" secret:"whole" help:"API key of an Account Owner."`
	LitmosKeyFile   string   `name:"litmos-api-key-file" placeholder:"FILE" help:"File that holds the API key."`
	LitmosSource    string   `name:"litmos-source" placeholder:"NAME" default:"healthix" help:"What the LMS's logs call this server."`
	LitmosHook      string   `name:"litmos-hook-secret" placeholder:"SECRET" secret:"whole" help:"End of the webhooks' path; two, comma-separated, while they are being exchanged."`
	LitmosHookFile  string   `name:"litmos-hook-secret-file" placeholder:"FILE" help:"File that holds the webhooks' secret."`
	MetricsAddr     string   `name:"metrics-addr" placeholder:"HOST:PORT" help:"Serve /metrics on an address of its own. Default: on the listen address."`
	RateLimit       string   `name:"rate-limit" placeholder:"RATE/BURST" default:"200/1000" help:"SCIM requests a second and burst per participant; off for load tests, of staff too. A participant's own setting wins."`
	KeepRecord      string   `name:"retention-record" placeholder:"AGE" default:"6y" help:"How long the record is kept at least: 6y or more; then people who were revoked so long ago can be erased."`
	KeepRequests    string   `name:"retention-requests" placeholder:"AGE" default:"90d" help:"How long the request log is kept, in days or years."`
	Log             string   `name:"log" placeholder:"LEVEL" default:"info" help:"Least level that is logged: debug, info, warn, error."`
	Actor           string   `name:"actor" placeholder:"NAME" help:"Who is on record for what commands do. Default: the system user."`
	Dev             bool     `name:"dev" help:"Development: on PostgreSQL too, generate keys (in the working directory) and write mail to a folder."`
	Insecure        bool     `name:"insecure" help:"Trials: listen off loopback without TLS and without trusted proxies."`
}

// finish reads the settings that are given as files and fills in what follows
// from others. from says which source each setting came from.
func (s *settings) finish(from sources) error {
	for _, pair := range []struct {
		value      *string
		file       string
		name, also string
	}{
		{&s.DatabaseURL, s.DatabaseURLFile, "database-url", "database-url-file"},
		{&s.MailURL, s.MailURLFile, "mail-url", "mail-url-file"},
		{&s.StreamToken, s.StreamTokenFile, "stream-token", "stream-token-file"},
		{&s.LitmosAPIKey, s.LitmosKeyFile, "litmos-api-key", "litmos-api-key-file"},
		{&s.LitmosHook, s.LitmosHookFile, "litmos-hook-secret", "litmos-hook-secret-file"},
	} {
		if pair.file == "" || from[pair.name] > from[pair.also] {
			continue
		}
		if from[pair.name] == from[pair.also] {
			return fmt.Errorf("%s and %s are both given; give one", variable(pair.name), variable(pair.also))
		}
		text, err := os.ReadFile(pair.file)
		if err != nil {
			return fmt.Errorf("read %s: %w", variable(pair.also), err)
		}
		if *pair.value = strings.TrimSpace(string(text)); *pair.value == "" {
			return fmt.Errorf("read %s: %s is empty", variable(pair.also), pair.file)
		}
	}
	if err := s.checkLitmos(); err != nil {
		return err
	}
	if err := s.checkOutlets(); err != nil {
		return err
	}
	if s.Actor == "" {
		s.Actor = systemUser()
	}
	if _, err := s.level(); err != nil {
		return err
	}
	// Auditors may ask about any instant of the last six years.
	const least = 6
	if keep, err := parseAge(s.KeepRecord); err != nil || keep.years < least && keep.days < least*366 {
		return fmt.Errorf("%s is %q; the record is kept %dy at least", variable("retention-record"), s.KeepRecord, least)
	}
	return nil
}

// systemUser is the name of who runs the program, as far as the system knows.
func systemUser() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return "uid-" + strconv.Itoa(os.Getuid())
}

func (s *settings) level() (slog.Level, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(s.Log)); err != nil {
		return 0, fmt.Errorf("%s is %q; expected debug, info, warn or error", variable("log"), s.Log)
	}
	return level, nil
}

// address answers the base URL once the listen address is known: with port 0,
// the system chose one.
func (s *settings) address(listening string) string {
	if s.BaseURL != "" {
		return strings.TrimSuffix(s.BaseURL, "/")
	}
	scheme := "http"
	if s.TLSCertFile != "" {
		scheme = "https"
	}
	return scheme + "://" + listening
}

// portal answers where activation links point, and whether the stand-in page is
// what answers there.
func (s *settings) portal(base string) (address string, standIn bool) {
	own := base + "/portal"
	if s.PortalURL == "" || strings.TrimSuffix(s.PortalURL, "/") == own {
		return own, true
	}
	return strings.TrimSuffix(s.PortalURL, "/"), false
}

// proxies are the trusted ones; a bare address is a prefix of its whole length.
func (s *settings) proxies() ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, text := range s.TrustedProxies {
		text = strings.TrimSpace(text)
		if addr, err := netip.ParseAddr(text); err == nil {
			out = append(out, netip.PrefixFrom(addr, addr.BitLen()))
			continue
		}
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("%s holds %q; expected networks like 10.0.0.0/8", variable("trusted-proxies"), text)
		}
		out = append(out, prefix.Masked())
	}
	return out, nil
}

// embedded answers the path of the embedded database's file, "" on PostgreSQL.
func (s *settings) embedded() string {
	path, found := strings.CutPrefix(s.DatabaseURL, "sqlite://")
	if !found {
		return ""
	}
	path, _, _ = strings.Cut(path, "?")
	return path
}

// knownDatabase refuses a URL of no engine there is, before anything is made of
// it. What it holds may be secret and is not repeated.
func (s *settings) knownDatabase() error {
	for _, scheme := range []string{"sqlite://", "postgres://", "postgresql://"} {
		if strings.HasPrefix(s.DatabaseURL, scheme) {
			return nil
		}
	}
	return fmt.Errorf("%s must begin with sqlite:// or postgres://", variable("database-url"))
}

// keyFolder is where keys are generated when none are given, "" when they must
// be given.
func (s *settings) keyFolder() string {
	switch path := s.embedded(); {
	case path != "":
		return filepath.Dir(path)
	case s.Dev:
		return "."
	default:
		return ""
	}
}

// offLoopback says whether others than this machine can connect to an address.
func offLoopback(addr string) (bool, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false, err
	}
	if host == "localhost" {
		return false, nil
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return !ip.IsLoopback(), nil
	}
	return true, nil // all interfaces, or a name that may be any
}

// serving refuses to start a server that would be open to the wrong people or
// would lose what it sends.
func (s *settings) serving() error {
	if err := s.knownDatabase(); err != nil {
		return err
	}
	open, err := offLoopback(s.Addr)
	if err != nil {
		return fmt.Errorf("%s is %q; expected HOST:PORT", variable("addr"), s.Addr)
	}
	if (s.TLSCertFile == "") != (s.TLSKeyFile == "") {
		return fmt.Errorf("%s and %s go together; one of them is missing", variable("tls-cert-file"), variable("tls-key-file"))
	}
	if open && s.TLSCertFile == "" && len(s.TrustedProxies) == 0 && !s.Insecure {
		return fmt.Errorf("%s is %s, which others can reach: give TLS (%s and %s) or name the proxies in front (%s); %s=true starts without, for trials",
			variable("addr"), s.Addr, variable("tls-cert-file"), variable("tls-key-file"), variable("trusted-proxies"), variable("insecure"))
	}
	if open && s.BaseURL == "" {
		return fmt.Errorf("%s is %s, which others can reach: %s must say under which URL", variable("addr"), s.Addr, variable("base-url"))
	}
	for _, given := range []struct{ name, text string }{{"base-url", s.BaseURL}, {"portal-url", s.PortalURL}} {
		if err := checkURL(given.text); err != nil {
			return fmt.Errorf("%s is %q: %w", variable(given.name), given.text, err)
		}
	}
	if s.MetricsAddr != "" {
		if _, _, err := net.SplitHostPort(s.MetricsAddr); err != nil {
			return fmt.Errorf("%s is %q; expected HOST:PORT", variable("metrics-addr"), s.MetricsAddr)
		}
	}
	if s.DatabaseURL == "sqlite://" {
		return fmt.Errorf("%s names no file; expected sqlite://PATH or sqlite:///absolute/path", variable("database-url"))
	}
	if s.embedded() == "" && strings.HasPrefix(s.MailURL, "file://") && !s.Dev {
		return fmt.Errorf("%s is %s: with PostgreSQL, mail must go to a mail server (smtp:// or smtps://); %s=true writes it to a folder, for development",
			variable("mail-url"), s.MailURL, variable("dev"))
	}
	_, err = s.proxies()
	return err
}

// checkURL takes "" or an address that paths can be put behind.
func checkURL(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("expected http://HOST or https://HOST, with a path at most")
	}
	return nil
}
