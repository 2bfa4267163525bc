package grpc

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// The generic service, whose schema is docs/triggers/function.proto.
const (
	schemaFile   = "myelin/v1/function.proto"
	functionName = "myelin.v1.Function"
)

// The fields of its messages.
const (
	requestPath    protowire.Number = 1
	requestType    protowire.Number = 2
	requestHeaders protowire.Number = 3
	requestBody    protowire.Number = 4

	responseStatus  protowire.Number = 1
	responseType    protowire.Number = 2
	responseHeaders protowire.Number = 3
	responseBody    protowire.Number = 4

	entryKey   protowire.Number = 1
	entryValue protowire.Number = 2
)

// schema is the descriptor of the generic service. It is made here rather than
// generated, since no message of it is ever one in Go: requests are read where
// they lie.
func schema() (protoreflect.FileDescriptor, error) {
	text := descriptorpb.FieldDescriptorProto_TYPE_STRING
	request := message("Request",
		field("path", requestPath, text), field("content_type", requestType, text),
		mapOf("headers", requestHeaders, "Request"), field("body", requestBody, descriptorpb.FieldDescriptorProto_TYPE_BYTES))
	response := message("Response",
		field("status", responseStatus, descriptorpb.FieldDescriptorProto_TYPE_INT32), field("content_type", responseType, text),
		mapOf("headers", responseHeaders, "Response"), field("body", responseBody, descriptorpb.FieldDescriptorProto_TYPE_BYTES))
	in, out := ".myelin.v1.Request", ".myelin.v1.Response"
	fd, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: ptr(schemaFile), Package: ptr("myelin.v1"), Syntax: ptr("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{request, response},
		Service: []*descriptorpb.ServiceDescriptorProto{{Name: ptr("Function"), Method: []*descriptorpb.MethodDescriptorProto{
			{Name: ptr("Call"), InputType: &in, OutputType: &out},
			{Name: ptr("Stream"), InputType: &in, OutputType: &out, ClientStreaming: ptr(true), ServerStreaming: ptr(true)},
		}}},
	}, nil)
	if err != nil {
		return nil, fmt.Errorf("make schema: %w", err)
	}
	return fd, nil
}

func ptr[T any](v T) *T { return &v }

func message(name string, fields ...*descriptorpb.FieldDescriptorProto) *descriptorpb.DescriptorProto {
	text := descriptorpb.FieldDescriptorProto_TYPE_STRING
	return &descriptorpb.DescriptorProto{Name: &name, Field: fields, NestedType: []*descriptorpb.DescriptorProto{{
		Name: ptr("HeadersEntry"), Field: []*descriptorpb.FieldDescriptorProto{field("key", entryKey, text), field("value", entryValue, text)},
		Options: &descriptorpb.MessageOptions{MapEntry: ptr(true)},
	}}}
}

func field(name string, n protowire.Number, kind descriptorpb.FieldDescriptorProto_Type) *descriptorpb.FieldDescriptorProto {
	return &descriptorpb.FieldDescriptorProto{Name: &name, Number: ptr(int32(n)), Type: &kind, Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum()}
}

func mapOf(name string, n protowire.Number, in string) *descriptorpb.FieldDescriptorProto {
	f := field(name, n, descriptorpb.FieldDescriptorProto_TYPE_MESSAGE)
	f.TypeName, f.Label = ptr(".myelin.v1."+in+".HeadersEntry"), descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
	return f
}
