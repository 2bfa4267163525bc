package function

import (
	"bytes"
	"fmt"
	"regexp"

	"github.com/myelin-run/myelin/document"
)

var inlineMark = regexp.MustCompile(`^\s*(#|//)\s*@(?:nuclio|myelin)\.configure\s*$`)

// Inline finds the configuration that is written in the comments of a source:
//
//	# @myelin.configure
//	#
//	# function.yaml:
//	#   spec:
//	#     handler: main:hello
//
// The comments begin with # or //, and the block ends with the first line that
// is none. It returns the text of each file named in the block, nil if there
// is no block. The texts stand at the lines and columns that they have in the
// source, with nothing before and around them, and so [Parse] of a text, given
// the name of the source, finds the lines of the source.
func Inline(filename string, source []byte) (map[string][]byte, error) {
	lines := bytes.Split(bytes.ReplaceAll(source, []byte("\r\n"), []byte("\n")), []byte("\n"))
	first, prefix := -1, ""
	for i, line := range lines {
		m := inlineMark.FindSubmatch(line)
		if m == nil {
			continue
		}
		if first >= 0 {
			return nil, document.Errors{{File: filename, Line: i + 1, Msg: fmt.Sprintf("a second configuration block (the first is on line %d)", first+1)}}
		}
		first, prefix = i, string(m[1])
	}
	if first < 0 {
		return nil, nil
	}
	return splitBlock(filename, uncomment(lines, first+1, prefix))
}

// uncomment returns as many lines as there are up to the end of the block,
// empty but for those from first on, whose comment marks are blanks.
func uncomment(lines [][]byte, first int, prefix string) [][]byte {
	block := make([][]byte, first)
	for _, line := range lines[first:] {
		text := bytes.TrimLeft(line, " \t")
		rest, ok := bytes.CutPrefix(text, []byte(prefix))
		if !ok {
			break
		}
		margin := bytes.Repeat([]byte(" "), len(line)-len(rest))
		block = append(block, append(margin, bytes.TrimRight(rest, " \t\r")...))
	}
	return block
}

// splitBlock gives each top name of the block its own text.
func splitBlock(filename string, block [][]byte) (map[string][]byte, error) {
	doc, err := document.Parse(filename, bytes.Join(block, []byte("\n")))
	if err != nil {
		return nil, err
	}
	names := doc.Fields("")
	if len(names) == 0 {
		line, _ := doc.Position("")
		return nil, document.Errors{{File: filename, Line: line, Msg: `the configuration block names no file, such as "function.yaml:"`}}
	}
	texts := make(map[string][]byte, len(names))
	for i, name := range names {
		end := len(block)
		if i+1 < len(names) {
			next, _ := doc.Position(document.Join("", names[i+1]))
			end = next - 1
		}
		line, col := doc.ValuePosition(document.Join("", name))
		texts[name] = cut(block, line, col, end)
	}
	return texts, nil
}

// cut blanks what is before the place, and leaves out what is after end.
func cut(block [][]byte, line, col, end int) []byte {
	if line < 1 || line > end {
		return nil
	}
	part := make([][]byte, line-1, end)
	part = append(part, block[line-1:end]...)
	head := bytes.Clone(part[line-1])
	for i := range head[:min(col-1, len(head))] {
		head[i] = ' '
	}
	part[line-1] = head
	return bytes.Join(part, []byte("\n"))
}
