using System.Diagnostics;
using System.Text;
using System.Text.Json.Nodes;
using Tern.Files;
using Tern.Models.Checkpoints;

namespace Tern.Tests.Files;

/// <summary>Good files open with their tensors where they are; every case of the corpus of malformed ones is decided as it says.</summary>
public sealed class SafetensorsFileTests : IDisposable
{
    private const string Format = "REJECT_FORMAT";
    private const string Same = "ACCEPT_SAME";

    private readonly TempFolder _folder = new();

    /// <summary>Names are those of the corpus under shared/malformed, and further ones.</summary>
    private static readonly Dictionary<string, (string Expect, Func<byte[]> Build)> s_files = new()
    {
        ["st_empty"] = (Format, () => []),
        ["st_seven_bytes"] = (Format, () => new byte[7]),
        ["st_header_len_minus1"] = Bent(Format, i => i.HeaderLength = ulong.MaxValue),
        ["st_header_len_past_eof"] = Bent(Format, i => i.HeaderLength = (ulong)i.Build().Length - 7),
        ["st_header_len_zero"] = Bent(Format, i => i.HeaderLength = 0),
        ["st_header_empty_object_with_data"] = Bent(Format, i => i.Header = "{}"u8.ToArray()),
        ["st_no_tensors"] = ("ACCEPT_SAME_EMPTY", () => new SafetensorsImage().Build()),
        ["st_header_trailing_spaces_ok"] = Bent(Same, i => i.Padding = "       "),
        ["st_header_trailing_text"] = Bent(Format, i => i.Padding = "{}"),
        ["st_header_trailing_zeros"] = Bent(Format, i => i.Padding = "\0\0"),
        ["st_header_bom"] = Bent(Format, i => i.Header = [0xEF, 0xBB, 0xBF, .. Text(i)]),
        ["st_header_leading_space"] = Bent(Format, i => i.Header = [0x20, .. Text(i)]),
        ["st_header_array"] = Bent(Format, i => i.Header = "[]"u8.ToArray()),
        ["st_header_not_utf8"] = Bent(Format, i => i.Header = Replace(i, "\"a\"", "\"a\u00ff\"", Encoding.Latin1)),
        ["st_header_half_surrogate"] = Bent(Format, i => i.Header = Replace(i, "\"a\"", "\"\\ud800\"")),
        ["st_json_depth_10000"] = Bent(Format, i => i.Header = Replace(i, "{\"format\":\"pt\"}", new string('[', 10_000) + new string(']', 10_000))),
        ["st_json_dup_tensor_name"] = Bent(Format, i => i.Header = Replace(i, "\"b\"", "\"a\"")),
        ["st_json_dup_field"] = Bent(Format, i => i.Header = Replace(i, "\"dtype\":\"F32\"", "\"dtype\":\"F32\",\"dtype\":\"F32\"")),
        ["st_json_missing_shape"] = Bent(Format, i => i.Header = Replace(i, "\"shape\":[2,3],", "")),
        ["st_json_metadata_number"] = Bent(Format, i => i.Header = Replace(i, "\"pt\"", "1")),
        ["st_empty_name"] = Bent(Format, i => i.Header = Replace(i, "\"a\"", "\"\"")),
        ["st_dtype_unknown"] = Bent(Format, i => i.Header = Replace(i, "\"F32\"", "\"F33\"")),
        ["st_dtype_number"] = Bent(Format, i => i.Header = Replace(i, "\"F32\"", "32")),
        ["st_dtype_size_mismatch"] = Bent(Format, i => i.Header = Replace(i, "\"F32\"", "\"F16\"")),
        ["st_shape_product_wrap"] = Bent(Format, i => i.Header = Replace(i, "[2,3]", $"[{1L << 33},{1L << 33}]")),
        ["st_shape_negative"] = Bent(Format, i => i.Header = Replace(i, "[2,3]", "[-2,-3]")),
        ["st_shape_above_2p63"] = Bent(Format, i => i.Header = Replace(i, "[2,3]", "[18446744073709551617,6]")),
        ["st_shape_17_dimensions"] = Bent(Format, i => i.Header = Replace(i, "[2,3]", $"[6{string.Concat(Enumerable.Repeat(",1", 16))}]")),
        ["st_offsets_reversed"] = Bent(Format, i => i["a"].Offsets = new JsonArray(24, 0)),
        ["st_offsets_gap"] = Bent(Format, i => (i["b"].Offsets, i["c"].Offsets) = (new JsonArray(25, 33), new JsonArray(33, 43))),
        ["st_offsets_overlap"] = Bent(Format, i => i["b"].Offsets = new JsonArray(16, 24)),
        ["st_offsets_same"] = Bent(Format, i => i.Entries.Add(i["b"] with { Name = "d", Offsets = new JsonArray(24, 32), Data = [] })),
        ["st_offsets_float"] = Bent(Format, i => i.Header = Replace(i, "[24,32]", "[24,3.2e1]")),
        ["st_offsets_three"] = Bent(Format, i => i.Header = Replace(i, "[24,32]", "[24,32,40]")),
        ["st_offsets_beyond_data"] = Bent(Format, i => i["c"].Offsets = new JsonArray(32, 42 + 1)),
        ["st_trailing_bytes"] = Bent(Format, i => i.Header = Replace(i, ",\"c\":{\"dtype\":\"U8\",\"shape\":[5,2],\"data_offsets\":[32,42]}", "")),
        ["st_cut_off"] = (Format, () => SafetensorsImage.Small().Build()[..^1]),
        ["st_lfs_pointer"] = (Format, () => Encoding.ASCII.GetBytes("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")),
        ["st_empty_tensor_and_scalar"] = Bent("ACCEPT", i =>
        {
            i.Entries.Insert(1, new SafetensorsImage.Entry("empty", "I64", [0, 1L << 62], []));
            i.Entries.Insert(2, new SafetensorsImage.Entry("scalar", "F64", [], new byte[8]));
        }),
    };

    public static TheoryData<string> Names => [.. s_files.Keys];

    public void Dispose() => _folder.Dispose();

    [Theory]
    [MemberData(nameof(Names))]
    public void A_file_is_decided_as_the_corpus_says(string name)
    {
        (string expect, Func<byte[]> build) = s_files[name];
        string path = _folder.Write("model.safetensors", build());
        if (expect.StartsWith("ACCEPT", StringComparison.Ordinal))
        {
            using SafetensorsFile file = SafetensorsFile.Open(path);
            if (expect == Same)
                AssertSmall(file);
            return;
        }

        TernException error = Assert.Throws<TernException>(() => SafetensorsFile.Open(path).Dispose());
        AssertRefusal(error, expect, path);
    }

    [Fact]
    public void A_header_above_the_limit_is_refused_before_it_is_read()
    {
        string path = _folder.File("model.safetensors");
        using (FileStream stream = File.Create(path))
        {
            stream.Write(BitConverter.GetBytes((ulong)SafetensorsFile.HeaderBytesMax + 1));
            stream.SetLength(SafetensorsFile.HeaderBytesMax + 100);
        }

        TernException error = Assert.Throws<TernException>(() => SafetensorsFile.Open(path).Dispose());
        AssertRefusal(error, "REJECT_LIMIT", path);
        Assert.Contains(nameof(SafetensorsFile.HeaderBytesMax), error.Message, StringComparison.Ordinal);
    }

    /// <summary>Corpus case st_100k_tensors_header.</summary>
    [Fact]
    public void A_hundred_thousand_tensors_take_linear_time_and_memory()
    {
        const int count = 100_000;
        var header = new StringBuilder("{");
        for (int i = 0; i < count; i++)
            header.Append(i == 0 ? "" : ",").Append($"\"model.layers.{i}.mlp.up_proj.weight\":{{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[{i},{i + 1}]}}");
        header.Append('}');
        byte[] text = Encoding.ASCII.GetBytes(header.ToString());
        string path = _folder.Write("model.safetensors", [.. BitConverter.GetBytes((ulong)text.Length), .. text, .. new byte[count]]);
        TimeSpan best = TimeSpan.MaxValue;
        for (int attempt = 0; attempt < 3 && best > TimeSpan.FromSeconds(2); attempt++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            long start = Stopwatch.GetTimestamp();
            using SafetensorsFile file = SafetensorsFile.Open(path);
            best = TimeSpan.FromTicks(Math.Min(best.Ticks, Stopwatch.GetElapsedTime(start).Ticks));
            Assert.Equal(count, file.Entries.Count);
            Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 100 << 20);
        }

        Assert.True(best <= TimeSpan.FromSeconds(2), $"took {best}");
    }

    [Theory]
    [InlineData("../../etc/passwd")]
    [InlineData("/etc/model.safetensors")]
    [InlineData("..\\\\model.safetensors")]
    [InlineData("sub/model.safetensors")]
    [InlineData("C:model.safetensors")]
    [InlineData(".safetensors")]
    [InlineData("model.bin")]
    [InlineData("a\\u0000.safetensors")]
    [InlineData("")]
    public void An_index_names_files_of_its_folder_only(string file)
    {
        string path = WriteIndex("{\"weight_map\":{\"a\":\"" + file + "\"}}");
        TernException error = Assert.Throws<TernException>(() => CheckpointFolder.OpenWeights(_folder.Path));
        AssertRefusal(error, Format, path);
    }

    [Theory]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("{\"weight_map\":[]}")]
    [InlineData("{\"weight_map\":{\"a\":1}}")]
    [InlineData("{\"weight_map\":{\"a\":\"model.safetensors\",\"a\":\"model.safetensors\"}}")]
    [InlineData("{\"weight_map\":{},\"weight_map\":{}}")]
    [InlineData("{\"weight_map\":{\"a\":\"model.safetensors\"}")]
    [InlineData("{\"weight_map\":{\"\\ud800\":\"model.safetensors\"}}")]
    public void A_malformed_index_is_refused(string json)
    {
        string path = WriteIndex(json);
        AssertRefusal(Assert.Throws<TernException>(() => CheckpointFolder.OpenWeights(_folder.Path)), Format, path);
    }

    /// <summary>Corpus case st_index_missing_shard.</summary>
    [Fact]
    public void A_missing_file_of_the_weights_is_named()
    {
        string path = WriteIndex("""{"weight_map":{"a":"model-00001-of-00002.safetensors","x":"model-00002-of-00002.safetensors"}}""");
        _folder.Write("model-00001-of-00002.safetensors", SafetensorsImage.Small().Build());
        TernException error = Assert.Throws<TernException>(() => CheckpointFolder.OpenWeights(_folder.Path));
        AssertRefusal(error, "REJECT_SEMANTIC", path);
        Assert.Contains("model-00002-of-00002.safetensors", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_tensor_that_is_not_where_the_index_says_is_named()
    {
        WriteIndex("""{"weight_map":{"a":"one.safetensors","missing":"one.safetensors"}}""");
        string path = _folder.Write("one.safetensors", SafetensorsImage.Small().Build());
        TernException error = Assert.Throws<TernException>(() => CheckpointFolder.OpenWeights(_folder.Path));
        AssertRefusal(error, "REJECT_SEMANTIC", path);
        Assert.Contains("'missing'", error.Message, StringComparison.Ordinal);
    }

    /// <summary>Corpus case st_symlink_shard_outside, with the links that are meant to be.</summary>
    [Theory]
    [InlineData("outside/model.safetensors", "hub/models--a--b/snapshots/0", false)]
    [InlineData("hub/models--a--b/blobs/0123", "hub/models--a--b/snapshots/0", true)]
    [InlineData("hub/models--a--c/blobs/0123", "hub/models--a--b/snapshots/0", false)]
    [InlineData("store/blobs/sha256-0123", "store/directories/a/b/main", true)]
    [InlineData("here/other.safetensors", "here", true)]
    public void A_link_is_followed_into_its_folder_or_its_store(string target, string folder, bool isFollowed)
    {
        if (OperatingSystem.IsWindows())
            return; // where links need rights that tests do not have

        foreach (bool isRelative in (bool[])[false, true])
        {
            using var root = new TempFolder();
            string home = Path.Combine(root.Path, folder);
            Directory.CreateDirectory(home);
            Directory.CreateDirectory(Path.Combine(root.Path, "hub/models--a--b/blobs"));
            string file = Path.Combine(root.Path, target);
            Directory.CreateDirectory(Path.GetDirectoryName(file)!);
            File.WriteAllBytes(file, SafetensorsImage.Small().Build());
            string link = Path.Combine(home, "model.safetensors");
            File.CreateSymbolicLink(link, isRelative ? Path.GetRelativePath(home, file) : file);
            if (!isFollowed)
            {
                AssertRefusal(Assert.Throws<TernException>(() => CheckpointFolder.OpenWeights(home)), Format, link);
                continue;
            }

            List<SafetensorsFile> files = CheckpointFolder.OpenWeights(home);
            AssertSmall(Assert.Single(files));
            files[0].Dispose();
        }
    }

    [Fact]
    public void A_folder_inside_that_is_a_link_does_not_lead_out()
    {
        if (OperatingSystem.IsWindows())
            return; // where links need rights that tests do not have

        string home = Path.Combine(_folder.Path, "home"), outside = Path.Combine(_folder.Path, "outside");
        Directory.CreateDirectory(home);
        Directory.CreateDirectory(outside);
        File.WriteAllBytes(Path.Combine(outside, "x.safetensors"), SafetensorsImage.Small().Build());
        Directory.CreateSymbolicLink(Path.Combine(home, "inside"), outside);
        string link = Path.Combine(home, "model.safetensors");
        File.CreateSymbolicLink(link, Path.Combine("inside", "x.safetensors"));
        AssertRefusal(Assert.Throws<TernException>(() => CheckpointFolder.OpenWeights(home)), Format, link);
    }

    /// <summary>Seeded damage to small files: they open or are refused, with the bytes of their tensors inside the file.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Damaged_files_open_or_are_refused(int seed)
    {
        var random = new Random(seed);
        int accepted = 0;
        const int count = 700;
        for (int i = 0; i < count; i++)
        {
            byte[] file = Damage(SafetensorsImage.Small().Build(), random);
            string path = _folder.Write("model.safetensors", file);
            try
            {
                using SafetensorsFile opened = SafetensorsFile.Open(path);
                foreach (SafetensorsEntry entry in opened.Entries)
                    _ = opened.Map.Bytes(entry.Offset, (int)entry.ByteCount).Length;
                accepted++;
            }
            catch (TernException e)
            {
                Assert.StartsWith(path, e.Message, StringComparison.Ordinal);
            }
        }

        Assert.InRange(accepted, count / 50, count * 9 / 10);
    }

    [SharedFact]
    public void The_corpus_has_no_case_that_is_not_tested()
    {
        string[] here = [.. s_files.Keys, "st_100k_tensors_header", "st_index_json_traversal", "st_index_missing_shard", "st_symlink_shard_outside"];
        JsonArray cases = JsonNode.Parse(File.ReadAllBytes(SharedData.File("malformed", "cases.json")))!["other_files"]!.AsArray();
        foreach (JsonNode? malformed in cases.Where(c => (string)c!["group"]! == "safetensors"))
        {
            string name = (string)malformed!["name"]!;
            Assert.Contains(name, here);
            if (s_files.TryGetValue(name, out (string Expect, Func<byte[]> Build) mine))
                Assert.Equal((string)malformed["expect"]!, mine.Expect);
        }
    }

    /// <summary>Changes a byte, a number or the length of the file; half of the changes hit the tensors' bytes or keep the meaning.</summary>
    private static byte[] Damage(byte[] file, Random random)
    {
        byte[] bytes = [.. file];
        int header = 8 + (int)BitConverter.ToUInt64(bytes);
        switch (random.Next(6))
        {
            case 0:
                bytes[random.Next(header)] ^= (byte)(1 << random.Next(8));
                return bytes;
            case 1:
                bytes[random.Next(8, header)] = (byte)"0123456789{}[],:\" -e."[random.Next(21)];
                return bytes;
            case 2:
                return bytes[..random.Next(bytes.Length)];
            case 3:
                bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
                return bytes;
            case 4:
                int at = random.Next(8, header), from = random.Next(8, header), count = random.Next(1, header - from + 1);
                byte[] spliced = [.. bytes[..at], .. bytes[from..(from + count)], .. bytes[at..]];
                BitConverter.TryWriteBytes(spliced, (ulong)(header - 8 + count));
                return spliced;
            default:
                bytes[random.Next(header, bytes.Length)] ^= 1;
                return bytes;
        }
    }

    private static void AssertSmall(SafetensorsFile file)
    {
        Assert.Equal(["a", "b", "c"], file.Entries.Select(e => e.Name));
        foreach (SafetensorsEntry entry in file.Entries)
        {
            SafetensorsImage.Entry expected = SafetensorsImage.Small()[entry.Name];
            Assert.Equal((expected.Type, expected.Data.Length), (entry.Type.Name, entry.ByteCount));
            Assert.Equal(expected.Shape, entry.Shape);
            Assert.Equal(expected.Data, file.Map.Bytes(entry.Offset, (int)entry.ByteCount).ToArray());
        }
    }

    private static void AssertRefusal(TernException error, string expect, string path)
    {
        Assert.Equal(expect, "REJECT_" + error.Kind.ToString().ToUpperInvariant());
        Assert.StartsWith(path, error.Message, StringComparison.Ordinal);
        Assert.Contains("at offset ", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', error.Message);
    }

    private string WriteIndex(string json) => _folder.Write("model.safetensors.index.json", Encoding.UTF8.GetBytes(json));

    private static (string Expect, Func<byte[]> Build) Bent(string expect, Action<SafetensorsImage> bend) => (expect, () =>
    {
        SafetensorsImage image = SafetensorsImage.Small();
        bend(image);
        return image.Build();
    }
    );

    private static byte[] Text(SafetensorsImage image) => Encoding.UTF8.GetBytes(image.Json().ToJsonString());

    private static byte[] Replace(SafetensorsImage image, string old, string by, Encoding? encoding = null)
    {
        string text = image.Json().ToJsonString();
        Assert.Contains(old, text, StringComparison.Ordinal);
        return (encoding ?? Encoding.UTF8).GetBytes(text.Replace(old, by, StringComparison.Ordinal));
    }
}
