package document

import (
	"strconv"
	"strings"
)

// DidYouMean returns `, did you mean "x"?` for the name nearest to got, or ""
// if none is near: it differs by case, dashes or underscores only, or by at
// most two letters added, lost, changed or swapped.
func DidYouMean(got string, names []string) string {
	if near := nearest(got, names); near != "" {
		return ", did you mean " + strconv.Quote(near) + "?"
	}
	return ""
}

func nearest(got string, names []string) string {
	if got == "" || len(got) > 100 {
		return ""
	}
	best, found := min(2, (len(got)-1)/2)+1, ""
	for _, name := range names {
		if fold(name) == fold(got) {
			return name
		}
		if d := distance(got, name); d < best {
			best, found = d, name
		}
	}
	return found
}

func fold(s string) string {
	return strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(s))
}

// distance is Damerau and Levenshtein's, with swaps of neighbours only. Case
// does not count.
func distance(a, b string) int {
	x, y := []rune(strings.ToLower(a)), []rune(strings.ToLower(b))
	if diff := len(x) - len(y); diff > 2 || diff < -2 {
		return len(x) + len(y)
	}
	var before []int
	row := make([]int, len(y)+1)
	for j := range row {
		row[j] = j
	}
	for i := range x {
		next := make([]int, len(y)+1)
		next[0] = i + 1
		for j := range y {
			change := row[j]
			if x[i] != y[j] {
				change++
			}
			next[j+1] = min(row[j+1]+1, next[j]+1, change)
			if i > 0 && j > 0 && x[i] == y[j-1] && x[i-1] == y[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row = row, next
	}
	return row[len(y)]
}
