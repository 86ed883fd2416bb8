using System.Globalization;

namespace Tern.Files;

/// <summary>The value types of GGUF metadata, with their ids in the file.</summary>
internal enum MetadataType
{
    UInt8 = 0,
    Int8 = 1,
    UInt16 = 2,
    Int16 = 3,
    UInt32 = 4,
    Int32 = 5,
    Float32 = 6,
    Bool = 7,
    String = 8,
    Array = 9,
    UInt64 = 10,
    Int64 = 11,
    Float64 = 12,
}

/// <summary>
/// One key with its value. <see cref="Value"/> is a boxed scalar of the type's .NET counterpart, a string, a <see cref="StringTable"/>,
/// or a primitive array (byte[], sbyte[], … bool[], double[]) when <see cref="Type"/> is Array of <see cref="ElementType"/>.
/// </summary>
/// <param name="Key">The key.</param>
/// <param name="Type">Type of the value in the file.</param>
/// <param name="ElementType">Type of the elements when the value is an array.</param>
/// <param name="Value">The value.</param>
/// <param name="Offset">Where the value begins in the file; 0 for a value that was set.</param>
internal sealed record MetadataEntry(string Key, MetadataType Type, MetadataType ElementType, object Value, long Offset);

/// <summary>The keys of a model file in file order, with typed reading that names the key and the file when a value is not what it must be.</summary>
internal sealed class Metadata(string path)
{
    private static readonly Dictionary<Type, MetadataType> s_elementTypes = new()
    {
        [typeof(byte[])] = MetadataType.UInt8,
        [typeof(sbyte[])] = MetadataType.Int8,
        [typeof(ushort[])] = MetadataType.UInt16,
        [typeof(short[])] = MetadataType.Int16,
        [typeof(uint[])] = MetadataType.UInt32,
        [typeof(int[])] = MetadataType.Int32,
        [typeof(float[])] = MetadataType.Float32,
        [typeof(bool[])] = MetadataType.Bool,
        [typeof(ulong[])] = MetadataType.UInt64,
        [typeof(long[])] = MetadataType.Int64,
        [typeof(double[])] = MetadataType.Float64,
    };

    private readonly List<MetadataEntry> _entries = [];
    private readonly Dictionary<string, MetadataEntry> _byKey = new(StringComparer.Ordinal);

    /// <summary>The file, for error messages.</summary>
    public string Path { get; } = path;

    /// <summary>All entries in file order.</summary>
    public IReadOnlyList<MetadataEntry> Entries => _entries;

    /// <summary>Adds an entry; false when the key is already there.</summary>
    public bool TryAdd(MetadataEntry entry)
    {
        if (!_byKey.TryAdd(entry.Key, entry))
            return false;
        _entries.Add(entry);
        return true;
    }

    /// <summary>Adds or replaces a scalar, a string, a string array or a primitive array, deriving the GGUF type from the .NET type.</summary>
    public void Set(string key, object value)
    {
        (MetadataType type, MetadataType element) = TypeOf(value);
        var entry = new MetadataEntry(key, type, element, value, 0);
        int index = _entries.FindIndex(e => e.Key == key);
        if (index < 0)
            _entries.Add(entry);
        else
            _entries[index] = entry;
        _byKey[key] = entry;
    }

    /// <summary>The entry of a key, or null.</summary>
    public MetadataEntry? Find(string key) => _byKey.GetValueOrDefault(key);

    /// <summary>A string, or null when the key is absent.</summary>
    /// <exception cref="TernException">The value is not a string.</exception>
    public string? String(string key) => Find(key) is { } e ? e.Value as string ?? throw Wrong(e, "a string") : null;

    /// <summary>An integer of any width, or null when the key is absent.</summary>
    /// <exception cref="TernException">The value is not an integer, or is outside [minimum, maximum].</exception>
    public long? Integer(string key, long minimum = long.MinValue, long maximum = long.MaxValue)
    {
        if (Find(key) is not { } e)
            return null;

        Int128 value = e.Value switch
        {
            byte v => v,
            sbyte v => v,
            ushort v => v,
            short v => v,
            uint v => v,
            int v => v,
            ulong v => v,
            long v => v,
            _ => throw Wrong(e, "an integer"),
        };
        if (value < minimum || value > maximum)
            throw Semantic(e, string.Create(CultureInfo.InvariantCulture, $"{value} is outside [{minimum}, {maximum}]"));
        return (long)value;
    }

    /// <summary>A number of any numeric type, or null when the key is absent.</summary>
    /// <exception cref="TernException">The value is not a finite number.</exception>
    public double? Number(string key)
    {
        if (Find(key) is not { } e)
            return null;
        double value = e.Value switch
        {
            float v => v,
            double v => v,
            _ => Integer(key)!.Value,
        };
        return double.IsFinite(value) ? value : throw Semantic(e, "is not a finite number");
    }

    /// <summary>A boolean, or null when the key is absent.</summary>
    /// <exception cref="TernException">The value is not a boolean.</exception>
    public bool? Boolean(string key) => Find(key) is { } e ? e.Value as bool? ?? throw Wrong(e, "a boolean") : null;

    /// <summary>An array of strings, or null when the key is absent.</summary>
    /// <exception cref="TernException">The value is something else.</exception>
    public StringTable? Strings(string key) => Find(key) is { } e ? e.Value as StringTable ?? throw Wrong(e, "an array of strings") : null;

    /// <summary>An array of primitives of exactly this type, or null when the key is absent.</summary>
    /// <exception cref="TernException">The value is something else.</exception>
    public T[]? Array<T>(string key)
        where T : unmanaged
    {
        if (Find(key) is not { } e)
            return null;
        return e.Value.GetType() == typeof(T[]) ? (T[])e.Value : throw Wrong(e, $"an array of {typeof(T).Name}");
    }

    /// <summary>An error that names the key.</summary>
    public TernException Semantic(MetadataEntry entry, string what) =>
        FileError.At(ErrorKind.Semantic, Path, entry.Offset, $"key {FileError.Quote(entry.Key)}", what, "the file does not describe a model: take it from another source or convert it again");

    /// <summary>An error about a key that is not there.</summary>
    public TernException Missing(string key, string remedy) =>
        FileError.Whole(ErrorKind.Semantic, Path, $"key '{key}'", "is missing", remedy);

    private TernException Wrong(MetadataEntry entry, string expected) =>
        Semantic(entry, $"is {Describe(entry)}, must be {expected}");

    /// <summary>
    /// The GGUF type of a value. Arrays are compared by their exact type: a type pattern would take a byte[] for an sbyte[] and an int[]
    /// for a uint[].
    /// </summary>
    private static (MetadataType Type, MetadataType Element) TypeOf(object value) => value switch
    {
        byte => (MetadataType.UInt8, default),
        sbyte => (MetadataType.Int8, default),
        ushort => (MetadataType.UInt16, default),
        short => (MetadataType.Int16, default),
        uint => (MetadataType.UInt32, default),
        int => (MetadataType.Int32, default),
        float => (MetadataType.Float32, default),
        bool => (MetadataType.Bool, default),
        string => (MetadataType.String, default),
        ulong => (MetadataType.UInt64, default),
        long => (MetadataType.Int64, default),
        double => (MetadataType.Float64, default),
        StringTable => (MetadataType.Array, MetadataType.String),
        System.Array array when s_elementTypes.TryGetValue(array.GetType(), out MetadataType element) => (MetadataType.Array, element),
        _ => throw new ArgumentException($"no GGUF type for {value.GetType()}", nameof(value)),
    };

    private static string Describe(MetadataEntry entry) =>
        entry.Type == MetadataType.Array ? $"an array of {entry.ElementType}" : $"of type {entry.Type}";
}
