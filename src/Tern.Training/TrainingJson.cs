using System.Text.Json.Serialization;
using Tern.Training.Checkpoints;

namespace Tern.Training;

/// <summary>Shape and recipe as JSON, with camel-case names, enumerations by name, unknown fields refused.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    UseStringEnumConverter = true,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true,
    WriteIndented = false)]
[JsonSerializable(typeof(ModelShape))]
[JsonSerializable(typeof(TrainingRecipe))]
[JsonSerializable(typeof(CheckpointHeader))]
internal sealed partial class TrainingJson : JsonSerializerContext;
