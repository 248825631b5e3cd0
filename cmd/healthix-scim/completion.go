package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help says where the script goes.
func (*completionCommand) Help() string {
	return `bash: source <(healthix-scim completion bash)
zsh: healthix-scim completion zsh > "${fpath[1]}/_healthix-scim"
fish: healthix-scim completion fish > ~/.config/fish/completions/healthix-scim.fish`
}

func (c *completionCommand) Run(p *program, app *kong.Application) error {
	places := completions(app)
	switch c.Shell {
	case "bash":
		return bashCompletion(p.stdout, places)
	case "zsh":
		return zshCompletion(p.stdout, places)
	default: // the parser lets no other pass
		return fishCompletion(p.stdout, places)
	}
}

// place is a point of the command line and what may come next.
type place struct {
	path  string // "", "participant", "participant add"
	words []word
}

type word struct{ text, help string }

func completions(app *kong.Application) []place {
	var settings []word
	for _, f := range app.Flags {
		settings = append(settings, flagWord(f))
		if f.Tag.Negatable != "" {
			settings = append(settings, word{"--no-" + f.Name, "Not: " + f.Help})
		}
	}
	var places []place
	var walk func(n *kong.Node, path string)
	walk = func(n *kong.Node, path string) {
		here := place{path: path}
		for _, child := range n.Children {
			here.words = append(here.words, word{child.Name, child.Help})
		}
		if len(n.Children) == 0 {
			for _, arg := range n.Positional {
				for _, value := range values(arg) {
					here.words = append(here.words, word{value, arg.Help})
				}
			}
			for _, f := range n.Flags {
				here.words = append(here.words, flagWord(f))
			}
			here.words = append(here.words, settings...)
		}
		places = append(places, here)
		for _, child := range n.Children {
			walk(child, strings.TrimSpace(path+" "+child.Name))
		}
	}
	walk(app.Node, "")
	return places
}

func values(v *kong.Value) []string {
	if v.Enum == "" {
		return nil
	}
	return v.EnumSlice()
}

func flagWord(f *kong.Flag) word { return word{"--" + f.Name, f.Help} }

// paths lists the places behind a command word; the first is the bare program.
func paths(places []place) []string {
	var out []string
	for _, p := range places[1:] {
		out = append(out, p.path)
	}
	return out
}

func bashCompletion(w io.Writer, places []place) error {
	var b strings.Builder
	b.WriteString("# bash completion for healthix-scim\n_healthix_scim() {\n")
	b.WriteString("  local current=${COMP_WORDS[COMP_CWORD]} path= next= word words=\n")
	b.WriteString("  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n    next=\"${path:+$path }$word\"\n    case \"$next\" in\n")
	fmt.Fprintf(&b, "      %s) path=$next ;;\n    esac\n  done\n  case \"$path\" in\n", quoted(paths(places), "|"))
	for _, p := range places {
		var words []string
		for _, one := range p.words {
			words = append(words, one.text)
		}
		fmt.Fprintf(&b, "    %q) words=%q ;;\n", p.path, strings.Join(words, " "))
	}
	b.WriteString("  esac\n  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n}\ncomplete -o default -F _healthix_scim healthix-scim\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func zshCompletion(w io.Writer, places []place) error {
	var b strings.Builder
	b.WriteString("#compdef healthix-scim\n_healthix_scim() {\n  local place= next= word\n  local -a choices\n")
	b.WriteString("  for word in \"${(@)words[2,CURRENT-1]}\"; do\n    next=\"${place:+$place }$word\"\n    case \"$next\" in\n")
	fmt.Fprintf(&b, "      (%s) place=$next ;;\n    esac\n  done\n  case \"$place\" in\n", quoted(paths(places), "|"))
	for _, p := range places {
		fmt.Fprintf(&b, "    (%q)\n      choices=(\n", p.path)
		for _, one := range p.words {
			fmt.Fprintf(&b, "        %s\n", single(strings.ReplaceAll(one.text, ":", `\:`)+":"+one.help))
		}
		b.WriteString("      ) ;;\n")
	}
	b.WriteString("  esac\n  _describe 'healthix-scim' choices || _files\n}\n")
	b.WriteString("if [ \"$funcstack[1]\" = _healthix-scim ]; then\n  _healthix_scim \"$@\"\nelse\n  compdef _healthix_scim healthix-scim\nfi\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func fishCompletion(w io.Writer, places []place) error {
	var b strings.Builder
	b.WriteString("# fish completion for healthix-scim\nfunction __healthix_scim_place\n  set -l place ''\n")
	b.WriteString("  for word in (commandline -opc)[2..-1]\n    switch (string trim -- \"$place $word\")\n")
	fmt.Fprintf(&b, "      case %s\n        set place (string trim -- \"$place $word\")\n    end\n  end\n  test \"$place\" = \"$argv[1]\"\nend\n", quoted(paths(places), " "))
	for _, p := range places {
		for _, one := range p.words {
			what := "-a " + one.text
			if flag, ok := strings.CutPrefix(one.text, "--"); ok {
				what = "-l " + flag
			}
			files := ""
			if p.path == "" || slices.ContainsFunc(p.words, func(w word) bool { return !strings.HasPrefix(w.text, "--") }) {
				files = "-f "
			}
			fmt.Fprintf(&b, "complete -c healthix-scim -n %s %s%s -d %s\n", single("__healthix_scim_place "+single(p.path)), files, what, single(one.help))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func quoted(words []string, between string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = `"` + w + `"`
	}
	return strings.Join(out, between)
}

// single quotes for zsh; our help texts hold no newline.
func single(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
