package dashboard_test

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// mostOfPicture is how large a screenshot may be to be kept in docs/images.
const mostOfPicture = 100_000

// shrink writes the screenshots of a directory anew with 256 colours, which is
// a third of their size.
func shrink(t *testing.T, dir string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.png"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := shrinkOne(name); err != nil {
			t.Error(err)
		}
	}
}

func shrinkOne(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	img, err := png.Decode(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if _, done := img.(*image.Paletted); done {
		return nil
	}
	out, err := os.Create(name)
	if err != nil {
		return err
	}
	e := png.Encoder{CompressionLevel: png.BestCompression}
	return errors.Join(e.Encode(out, paletted(img)), out.Close())
}

// paletted is a picture with the 256 colours that it has most of; others become
// the nearest of these. Pages have few colours and their edges.
func paletted(img image.Image) *image.Paletted {
	b := img.Bounds()
	counts := map[color.RGBA]int{}
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			counts[color.RGBAModel.Convert(img.At(x, y)).(color.RGBA)]++
		}
	}
	all := make([]color.RGBA, 0, len(counts))
	for c := range counts {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b color.RGBA) int {
		if d := counts[b] - counts[a]; d != 0 {
			return d
		}
		return int(a.R)<<16 + int(a.G)<<8 + int(a.B) - int(b.R)<<16 - int(b.G)<<8 - int(b.B)
	})
	var p color.Palette
	for _, c := range all[:min(len(all), 256)] {
		p = append(p, c)
	}
	index := make(map[color.RGBA]uint8, len(all))
	for _, c := range all {
		index[c] = uint8(p.Index(c)) //nolint:gosec // a palette of 256
	}
	out := image.NewPaletted(b, p)
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			out.SetColorIndex(x, y, index[color.RGBAModel.Convert(img.At(x, y)).(color.RGBA)])
		}
	}
	return out
}

// The pictures of the documentation are small.
func TestPicturesAreSmall(t *testing.T) {
	names, err := filepath.Glob("../../docs/images/*.png")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		fi, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if fi.Size() > mostOfPicture {
			t.Errorf("%s has %d bytes", name, fi.Size())
		}
	}
	many := image.NewRGBA(image.Rect(0, 0, 64, 64))
	for i := range 64 * 64 {
		many.Set(i%64, i/64, color.RGBA{uint8(i), uint8(i >> 4), 7, 255}) //nolint:gosec // any colours
	}
	if p := paletted(many); len(p.Palette) != 256 || p.Bounds() != many.Bounds() {
		t.Errorf("%d colours, %v", len(p.Palette), p.Bounds())
	}
}
