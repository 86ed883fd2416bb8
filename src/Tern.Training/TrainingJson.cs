using System.Text.Json.Serialization;

namespace Tern.Training;

/// <summary>Shape and recipe as JSON, with camel-case names, enumerations by name, unknown fields refused.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    UseStringEnumConverter = true,
    WriteIndented = false)]
[JsonSerializable(typeof(ModelShape))]
[JsonSerializable(typeof(TrainingRecipe))]
internal sealed partial class TrainingJson : JsonSerializerContext;
