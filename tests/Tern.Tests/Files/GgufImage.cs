using System.Buffers.Binary;
using System.Text;

namespace Tern.Tests.Files;

/// <summary>
/// A GGUF file taken apart into fields that a test can set to anything, and put together again byte by byte. It shares no code with the
/// reader or writer under test.
/// </summary>
internal sealed class GgufImage
{
    /// <summary>An entry: key bytes, type id and the bytes behind the type.</summary>
    public sealed class Entry
    {
        public required byte[] Key { get; set; }

        public ulong? KeyLength { get; set; }

        public required uint Type { get; set; }

        public required byte[] Value { get; set; }

        public string Name => Encoding.UTF8.GetString(Key);
    }

    /// <summary>A tensor info with its data.</summary>
    public sealed class Info
    {
        public required byte[] Name { get; set; }

        public ulong? NameLength { get; set; }

        public required ulong[] Dimensions { get; set; }

        public required uint Type { get; set; }

        public required ulong Offset { get; set; }

        public required byte[] Data { get; set; }

        public string Text => Encoding.UTF8.GetString(Name);

        public Info Copy() => (Info)MemberwiseClone();
    }

    public byte[] Magic { get; set; } = "GGUF"u8.ToArray();

    public uint Version { get; set; } = 3;

    public ulong? TensorCount { get; set; }

    public ulong? EntryCount { get; set; }

    public uint Alignment { get; set; } = 32;

    public List<Entry> Entries { get; } = [];

    public List<Info> Infos { get; } = [];

    /// <summary>Set by <see cref="Build"/>: where things begin.</summary>
    public int InfosStart { get; private set; }

    public int PaddingStart { get; private set; }

    public int DataStart { get; private set; }

    public Dictionary<string, int> EntryStarts { get; } = [];

    public Info this[string tensor] => Infos.First(i => i.Text == tensor);

    public static GgufImage Parse(byte[] file)
    {
        var image = new GgufImage();
        int at = 4;
        image.Version = U32();
        int tensors = (int)U64();
        int entries = (int)U64();
        for (int i = 0; i < entries; i++)
        {
            byte[] key = Bytes((int)U64());
            uint type = U32();
            int start = at;
            SkipValue(type);
            image.Entries.Add(new Entry { Key = key, Type = type, Value = file[start..at] });
        }

        for (int i = 0; i < tensors; i++)
        {
            byte[] name = Bytes((int)U64());
            var dimensions = new ulong[U32()];
            for (int d = 0; d < dimensions.Length; d++)
                dimensions[d] = U64();
            image.Infos.Add(new Info { Name = name, Dimensions = dimensions, Type = U32(), Offset = U64(), Data = [] });
        }

        int data = (at + 31) / 32 * 32;
        List<Info> ordered = [.. image.Infos.OrderBy(i => i.Offset)];
        for (int i = 0; i < ordered.Count; i++)
        {
            int end = i + 1 < ordered.Count ? data + (int)ordered[i + 1].Offset : file.Length;
            ordered[i].Data = file[(data + (int)ordered[i].Offset)..end];
        }

        return image;

        uint U32()
        {
            at += 4;
            return BinaryPrimitives.ReadUInt32LittleEndian(file.AsSpan(at - 4));
        }

        ulong U64()
        {
            at += 8;
            return BinaryPrimitives.ReadUInt64LittleEndian(file.AsSpan(at - 8));
        }

        byte[] Bytes(int count)
        {
            at += count;
            return file[(at - count)..at];
        }

        void SkipValue(uint type)
        {
            if (type == 8)
            {
                Bytes((int)U64());
            }
            else if (type == 9)
            {
                uint element = U32();
                int count = (int)U64();
                for (int i = 0; i < count; i++)
                    SkipValue(element);
            }
            else
            {
                at += type is 0 or 1 or 7 ? 1 : type is 2 or 3 ? 2 : type is 4 or 5 or 6 ? 4 : 8;
            }
        }
    }

    /// <summary>Replaces or appends an entry.</summary>
    public GgufImage Set(string key, uint type, byte[] value)
    {
        int index = Entries.FindIndex(e => e.Name == key);
        var entry = new Entry { Key = Encoding.UTF8.GetBytes(key), Type = type, Value = value };
        if (index < 0)
            Entries.Add(entry);
        else
            Entries[index] = entry;
        return this;
    }

    public GgufImage SetU32(string key, uint value) => Set(key, 4, BitConverter.GetBytes(value));

    public GgufImage SetF32(string key, float value) => Set(key, 6, BitConverter.GetBytes(value));

    public GgufImage SetString(string key, string value) => Set(key, 8, String(value));

    public Entry Find(string key) => Entries.First(e => e.Name == key);

    /// <summary>Gives the tensors consecutive offsets in the order given.</summary>
    public GgufImage Arrange(IEnumerable<Info>? order = null)
    {
        ulong offset = 0;
        foreach (Info info in order ?? Infos)
        {
            info.Offset = offset;
            offset += (ulong)((info.Data.Length + Alignment - 1) / Alignment * Alignment);
        }

        return this;
    }

    /// <summary>The file. Data is placed by the offsets as far as they are sane, and the end padded as writers do.</summary>
    public byte[] Build()
    {
        var stream = new MemoryStream();
        var writer = new BinaryWriter(stream);
        writer.Write(Magic);
        writer.Write(Version);
        writer.Write(TensorCount ?? (ulong)Infos.Count);
        writer.Write(EntryCount ?? (ulong)Entries.Count);
        foreach (Entry entry in Entries)
        {
            EntryStarts[entry.Name] = (int)stream.Position;
            writer.Write(entry.KeyLength ?? (ulong)entry.Key.Length);
            writer.Write(entry.Key);
            writer.Write(entry.Type);
            writer.Write(entry.Value);
        }

        InfosStart = (int)stream.Position;
        foreach (Info info in Infos)
        {
            writer.Write(info.NameLength ?? (ulong)info.Name.Length);
            writer.Write(info.Name);
            writer.Write((uint)info.Dimensions.Length);
            foreach (ulong dimension in info.Dimensions)
                writer.Write(dimension);
            writer.Write(info.Type);
            writer.Write(info.Offset);
        }

        PaddingStart = (int)stream.Position;
        DataStart = (int)((PaddingStart + Alignment - 1) / Alignment * Alignment);
        stream.SetLength(DataStart);
        foreach (Info info in Infos.Where(i => i.Offset < int.MaxValue / 2))
        {
            stream.Position = DataStart + (long)info.Offset;
            writer.Write(info.Data);
        }

        stream.SetLength((stream.Length + Alignment - 1) / Alignment * Alignment);
        return stream.ToArray();
    }

    public static byte[] String(string text) => [.. BitConverter.GetBytes((ulong)Encoding.UTF8.GetByteCount(text)), .. Encoding.UTF8.GetBytes(text)];

    public static byte[] Array(uint elementType, ulong count, params byte[][] elements) =>
        [.. BitConverter.GetBytes(elementType), .. BitConverter.GetBytes(count), .. elements.SelectMany(e => e)];

    /// <summary>A small file, about 12 KB, with a value of every type and tensors of several types.</summary>
    public static GgufImage Small(int seed = 1)
    {
        var random = new Random(seed);
        var image = new GgufImage();
        image.SetString("general.architecture", "llama").SetString("general.name", "größer ☃");
        uint[] widths = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8];
        for (uint type = 0; type <= 12; type++)
        {
            if (type is 8 or 9)
                continue;
            image.Set($"scalar.{type}", type, Value(type));
            image.Set($"array.{type}", 9, Array(type, 5, [.. Enumerable.Range(0, 5).Select(_ => Value(type))]));
        }

        image.Set("array.strings", 9, Array(8, 4, String("a"), String(""), String("größer ☃"), [2, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe]));
        image.Set("array.empty", 9, Array(8, 0));
        Add("embed.weight", 1, [64, 10], 1280);
        Add("norm.weight", 0, [64], 256);
        Add("up.weight", 36, [128, 8], 288);
        Add("q8.weight", 8, [64, 6], 408);
        Add("q2.weight", 42, [128, 40], 1440);
        Add("q2g128.weight", 42, [128, 40], 1360);
        Add("last.bias", 0, [7], 28);
        return image.Arrange();

        byte[] Value(uint type)
        {
            var bytes = new byte[widths[type]];
            random.NextBytes(bytes);
            if (type == 7)
                bytes[0] &= 1;
            return bytes;
        }

        void Add(string name, uint type, ulong[] dimensions, int size)
        {
            var data = new byte[size];
            random.NextBytes(data);
            image.Infos.Add(new Info { Name = Encoding.UTF8.GetBytes(name), Type = type, Dimensions = dimensions, Offset = 0, Data = data });
        }
    }
}
