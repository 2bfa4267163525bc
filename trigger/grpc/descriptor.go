package grpc

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

// maxDescriptor bounds a descriptor's file.
const maxDescriptor = 16 << 20

// catalogue is what is served and what reflection tells of it.
type catalogue struct {
	files    *protoregistry.Files
	services []protoreflect.ServiceDescriptor
}

// generic has the service myelin.v1.Function.
func generic() (*catalogue, error) {
	fd, err := schema()
	if err != nil {
		return nil, err
	}
	c := &catalogue{files: &protoregistry.Files{}, services: []protoreflect.ServiceDescriptor{fd.Services().Get(0)}}
	return c, c.files.RegisterFile(fd)
}

// described has the services of a file of descriptors: all, or the one of that
// name.
func described(dir, file, service string) (*catalogue, error) {
	if !filepath.IsAbs(file) {
		file = filepath.Join(dir, file)
	}
	set, err := readSet(file)
	if err != nil {
		return nil, fmt.Errorf("read descriptor: %w", err)
	}
	files, err := protodesc.NewFiles(set)
	if err != nil {
		return nil, fmt.Errorf("read descriptor %s: %w (protoc needs --include_imports)", file, err)
	}
	c := &catalogue{files: files}
	var names []string
	files.RangeFiles(func(fd protoreflect.FileDescriptor) bool {
		for i := range fd.Services().Len() {
			s := fd.Services().Get(i)
			names = append(names, string(s.FullName()))
			if service == "" || string(s.FullName()) == service {
				c.services = append(c.services, s)
			}
		}
		return true
	})
	slices.Sort(names)
	switch {
	case len(names) == 0:
		return nil, fmt.Errorf("read descriptor %s: it has no service", file)
	case len(c.services) == 0:
		return nil, fmt.Errorf("service: %s has no %q (it has %s)", file, service, strings.Join(names, ", "))
	}
	return c, nil
}

func readSet(file string) (*descriptorpb.FileDescriptorSet, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxDescriptor+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxDescriptor {
		return nil, fmt.Errorf("%s has more than %d bytes", file, maxDescriptor)
	}
	set := &descriptorpb.FileDescriptorSet{}
	if err := proto.Unmarshal(b, set); err != nil {
		return nil, fmt.Errorf("%s is no set of file descriptors: %w", file, err)
	}
	return set, nil
}

// FindFileByPath implements [protodesc.Resolver].
func (c *catalogue) FindFileByPath(path string) (protoreflect.FileDescriptor, error) {
	fd, err := c.files.FindFileByPath(path)
	if errors.Is(err, protoregistry.NotFound) {
		return protoregistry.GlobalFiles.FindFileByPath(path)
	}
	return fd, err
}

// FindDescriptorByName implements [protodesc.Resolver].
func (c *catalogue) FindDescriptorByName(name protoreflect.FullName) (protoreflect.Descriptor, error) {
	d, err := c.files.FindDescriptorByName(name)
	if errors.Is(err, protoregistry.NotFound) {
		return protoregistry.GlobalFiles.FindDescriptorByName(name)
	}
	return d, err
}
