package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"
)

// node is a JSON value in the order it was written.
type node struct {
	kind  byte   // { [ " as values begin; 0 number, t boolean, n null; zero when the text ended before it
	text  string // of a string, number or boolean
	items []item // of an object or array
	cut   bool   // the text ended inside
}

type item struct {
	name  string // in an object
	value node
}

// find answers a member's value, whatever the letter case of its name.
func (n node) find(name string) (node, bool) {
	for _, it := range n.items {
		if n.kind == '{' && strings.EqualFold(it.name, name) {
			return it.value, true
		}
	}
	return node{}, false
}

// lists says whether a member is an array that holds a string.
func (n node) lists(name, text string) bool {
	list, _ := n.find(name)
	for _, it := range list.items {
		if list.kind == '[' && it.value.kind == '"' && it.value.text == text {
			return true
		}
	}
	return false
}

var (
	errEnds   = errors.New("the text ends inside a value")
	errEnough = errors.New("more than is shown")
	errNoJSON = errors.New("not JSON")
)

// readJSON reads one value, or as much of it as there is: when the text is not
// whole, and when the rest would not be shown. encoding/json reads whole texts
// only, and its tokens cost ten times as much as the request log may.
func readJSON(text []byte, whole bool) (node, bool) {
	r := jsonReader{text: text, whole: whole, room: maxShown}
	root, err := r.value(0)
	switch {
	case err == nil && whole:
		return root, r.next() == 0
	case errors.Is(err, errEnds):
		return root, !whole
	default:
		return root, err == nil || errors.Is(err, errEnough)
	}
}

type jsonReader struct {
	text  []byte
	at    int
	whole bool
	room  int // what can still be shown: a name takes its length, a value some bytes
}

// next is the next character that is no space, 0 at the end.
func (r *jsonReader) next() byte {
	for ; r.at < len(r.text); r.at++ {
		switch c := r.text[r.at]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

func (r *jsonReader) value(depth int) (node, error) {
	if r.room -= len(`"id":"",`); r.room < 0 || depth > maxDepth {
		return node{}, errEnough
	}
	switch c := r.next(); c {
	case '{', '[':
		r.at++
		n := node{kind: c, cut: true} // until its end is found
		err := r.items(&n, depth)
		n.cut = err != nil
		return n, err
	case '"':
		text, err := r.quoted()
		if err != nil {
			return node{}, err
		}
		return node{kind: '"', text: text}, nil
	default:
		return r.literal()
	}
}

// items reads up to the end of an object or array.
func (r *jsonReader) items(n *node, depth int) error {
	end := n.kind + 2 // { } and [ ] are two apart
	if r.next() == end {
		r.at++
		return nil
	}
	for {
		var it item
		if n.kind == '{' {
			name, err := r.quoted()
			if err != nil {
				return err
			}
			if err := r.take(':'); err != nil {
				return err
			}
			it.name = name
			r.room -= len(name)
		}
		var err error
		it.value, err = r.value(depth + 1)
		if it.value.kind != 0 {
			n.items = append(n.items, it)
		}
		if err != nil {
			return err
		}
		if r.next() == end {
			r.at++
			return nil
		}
		if err := r.take(','); err != nil {
			return err
		}
	}
}

func (r *jsonReader) take(c byte) error {
	switch r.next() {
	case c:
		r.at++
		return nil
	case 0:
		return errEnds
	default:
		return errNoJSON
	}
}

// quoted reads a string.
func (r *jsonReader) quoted() (string, error) {
	if r.next() == 0 {
		return "", errEnds
	}
	if r.text[r.at] != '"' {
		return "", errNoJSON
	}
	begin, plain := r.at, true
	for r.at++; r.at < len(r.text); r.at++ {
		switch c := r.text[r.at]; {
		case c == '"':
			r.at++
			if inside := r.text[begin+1 : r.at-1]; plain && utf8.Valid(inside) {
				return string(inside), nil
			}
			var text string
			if json.Unmarshal(r.text[begin:r.at], &text) != nil {
				return "", errNoJSON
			}
			return text, nil
		case c == '\\':
			plain = false
			r.at++
		case c < ' ':
			return "", errNoJSON
		}
	}
	return "", errEnds
}

// literal reads a number, true, false or null.
func (r *jsonReader) literal() (node, error) {
	begin := r.at
	for r.at < len(r.text) && bytes.IndexByte([]byte(" \t\r\n,]}"), r.text[r.at]) < 0 {
		r.at++
	}
	text := r.text[begin:r.at]
	switch {
	case r.at == len(r.text) && !r.whole:
		return node{}, errEnds
	case len(text) == 0 && r.at == len(r.text):
		return node{}, errEnds
	case !json.Valid(text):
		return node{}, errNoJSON
	}
	switch text[0] {
	case 't', 'f':
		return node{kind: 't', text: string(text)}, nil
	case 'n':
		return node{kind: 'n'}, nil
	default:
		return node{kind: '0', text: string(text)}, nil
	}
}
