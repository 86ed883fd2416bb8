using System.Text.Json;

namespace Tern.Files;

/// <summary>
/// A place in a <see cref="JsonFile"/> that may hold nothing: a missing field and <c>null</c> are the same, as they are to the programs that write
/// these files. What is there must have the right type, or the error names field and offset.
/// </summary>
/// <param name="File">The file.</param>
/// <param name="Element">The value; of kind Undefined when there is none.</param>
/// <param name="Name">The path to it, such as <c>model.vocab</c>.</param>
internal readonly record struct JsonField(JsonFile File, JsonElement Element, string Name)
{
    /// <summary>Whether there is a value.</summary>
    public bool Exists => Element.ValueKind is not (JsonValueKind.Undefined or JsonValueKind.Null);

    /// <summary>Whether this is a JSON object.</summary>
    public bool IsObject => Element.ValueKind == JsonValueKind.Object;

    /// <summary>Whether this is a JSON array.</summary>
    public bool IsArray => Element.ValueKind == JsonValueKind.Array;

    /// <summary>Whether this is a JSON string.</summary>
    public bool IsText => Element.ValueKind == JsonValueKind.String;

    /// <summary>A field of this object.</summary>
    /// <exception cref="TernException">Semantic: this is something else than an object.</exception>
    public JsonField this[string name]
    {
        get
        {
            JsonElement value = default;
            if (Exists && !(IsObject ? Element : throw Wrong("an object")).TryGetProperty(name, out value))
                value = default;
            return new JsonField(File, value, Name.Length == 0 ? name : $"{Name}.{name}");
        }
    }

    /// <summary>The elements of this array; none when it is missing.</summary>
    /// <exception cref="TernException">Semantic: this is something else than an array.</exception>
    public IEnumerable<JsonField> Items
    {
        get
        {
            if (!Exists)
                yield break;
            int index = 0;
            foreach (JsonElement item in (IsArray ? Element : throw Wrong("an array")).EnumerateArray())
                yield return new JsonField(File, item, $"{Name}[{index++}]");
        }
    }

    /// <summary>A string, or null when it is missing.</summary>
    /// <exception cref="TernException">Semantic: this is something else than a string.</exception>
    public string? Text => !Exists ? null : IsText ? Element.GetString() : throw Wrong("a string");

    /// <summary>A boolean, or null when it is missing.</summary>
    /// <exception cref="TernException">Semantic: this is something else than a boolean.</exception>
    public bool? Flag => Element.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => Exists ? throw Wrong("true or false") : null,
    };

    /// <summary>An integer, or null when it is missing.</summary>
    /// <exception cref="TernException">Semantic: this is something else than an integer of 64 bits.</exception>
    public long? Integer =>
        !Exists ? null : Element.ValueKind == JsonValueKind.Number && Element.TryGetInt64(out long value) ? value : throw Wrong("an integer");

    /// <summary>Where the value stands in the file; where the contents begin when there is none.</summary>
    public long Offset => File.Offset(Element);

    /// <summary>An error of any kind about this value.</summary>
    public TernException Error(ErrorKind kind, string what, string remedy) => File.Error(kind, Element, Name, what, remedy);

    /// <summary>An error about a value that cannot be true.</summary>
    public TernException Semantic(string what) => File.Error(ErrorKind.Semantic, Element, Name, what);

    private TernException Wrong(string expected) => Semantic($"is of type {Element.ValueKind}, must be {expected}");
}
