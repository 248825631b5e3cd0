package audit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// read gives the next line without its end; it is valid until the next call.
func (v *verifier) read() ([]byte, error) {
	v.line++
	v.buf = v.buf[:0]
	for {
		part, err := v.in.ReadSlice('\n')
		if err == nil && len(v.buf) == 0 {
			return part[:len(part)-1], nil
		}
		v.buf = append(v.buf, part...)
		switch {
		case len(v.buf) > longestLine:
			return nil, v.damage(Malformed, "the line is longer than %d bytes", longestLine)
		case err == nil:
			return v.buf[:len(v.buf)-1], nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(v.buf) > 0:
			return nil, v.damage(Truncated, "the file ends within the line")
		case errors.Is(err, io.EOF):
			return nil, v.damage(Truncated, "the file ends without the line that says how many entries it has")
		default:
			return nil, fmt.Errorf("read line %d: %w", v.line, err)
		}
	}
}

type spelled interface{ append([]byte) []byte }

// decode reads a line, and takes it only in the spelling of exports.
func (v *verifier) decode(line []byte, into spelled) error {
	if deeper(line, deepestLine) {
		return v.damage(Changed, "the line is nested deeper than exports are")
	}
	if err := json.Unmarshal(line, into); err != nil {
		return v.damage(Changed, "the line cannot be read as JSON of its kind")
	}
	if v.again = into.append(v.again[:0]); !bytes.Equal(v.again, line) {
		return v.damage(Changed, "the line is not written the way exports are: spaces, order, or members that do not belong there")
	}
	return nil
}

// deeper says whether a line has more than most objects and arrays in one
// another.
func deeper(line []byte, most int) bool {
	depth, text := 0, false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '"':
			text = !text
		case text && c == '\\':
			i++
		case text:
		case c == '{' || c == '[':
			if depth++; depth > most {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// find gives the number of the next line that begins so, 0 when there is none.
func (v *verifier) find(beginning []byte) int {
	for {
		line, err := v.read()
		if err != nil {
			return 0
		}
		if bytes.HasPrefix(line, beginning) {
			return v.line
		}
	}
}

func (v *verifier) findNumber(number uint64) int {
	mark := appendText([]byte(`,"participant":`), v.participant)
	mark = strconv.AppendUint(append(mark, `,"number":`...), number, 10)
	mark = append(mark, `,"entry":`...)
	for {
		line, err := v.read()
		if err != nil {
			return 0
		}
		if before, _, ok := bytes.Cut(line, mark); ok && len(before) < 64 && kindOf(line) == "entry" {
			return v.line
		}
	}
}
