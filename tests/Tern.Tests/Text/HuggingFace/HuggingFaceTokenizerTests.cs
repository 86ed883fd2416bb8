using System.Text.Json;
using Tern.Files;
using Tern.Text;
using Tern.Text.HuggingFace;
using Tern.Text.Templates;

namespace Tern.Tests.Text.HuggingFace;

/// <summary>Directories against GGUF files of the same models, and against the ids that the field's own tokenizers give.</summary>
public sealed class HuggingFaceTokenizerTests
{
    public static TheoryData<string, string> Twins => new()
    {
        { "m11a-hf-bitnet-packed-autobitlinear", "m01-bitnet-b158-i2s.gguf" },
        { "m11b-hf-bitnet-bf16-online", "m01-bitnet-b158-i2s.gguf" },
        { "m11c-hf-llama-packed-bitlinear-divide", "m04-llama-i2s-untied.gguf" },
    };

    /// <summary>Keys in which a directory may differ from its twin, and why.</summary>
    private static readonly Dictionary<string, string> s_differences = new()
    {
        ["m01-bitnet-b158-i2s.gguf tokenizer.ggml.pre"] = "left out by the official 2B-4T file, which this one imitates",
        ["m01-bitnet-b158-i2s.gguf tokenizer.ggml.scores"] = "zeros that nothing reads",
        ["m01-bitnet-b158-i2s.gguf tokenizer.ggml.padding_token_id"] = "the directory names no padding token",
        ["m01-bitnet-b158-i2s.gguf tokenizer.chat_template"] = "known to be wrong in that file; the directory has the right one",
        ["m01-bitnet-b158-i2s.gguf tokenizer.ggml.eot_token_id"] = "generation_config.json names a second end token",
        ["m01-bitnet-b158-i2s.gguf tokenizer.ggml.eos_token_ids"] = "the same",
    };

    [SharedTheory]
    [MemberData(nameof(Twins))]
    public void A_directory_gives_the_ids_of_its_model(string name, string twin)
    {
        Metadata metadata = ReadShared(name);
        Tokenizer tokenizer = Tokenizer.From(metadata, line => Assert.Fail(line));
        using JsonDocument json = JsonDocument.Parse(File.ReadAllBytes(SharedData.File("goldens", name, "expected.json")));
        foreach (JsonElement prompt in json.RootElement.GetProperty("prompts").EnumerateArray())
            Assert.Equal(Ints(prompt.GetProperty("ids")), tokenizer.Encode(prompt.GetProperty("text").GetString()!));
        Assert.Empty(Ints(json.RootElement.GetProperty("stop_ids")).Except(tokenizer.StopIds));

        Tokenizer other = Vocabularies.Shared("goldens", twin);
        var random = new Random(3);
        for (int i = 0; i < 200; i++)
        {
            string text = RandomText.Next(random, 40);
            Assert.Equal(other.Encode(text), tokenizer.Encode(text));
        }

        ChatTemplate template = ChatTemplate.From(metadata, tokenizer, line => Assert.Fail(line))!;
        Assert.Equal("<|begin_of_text|>User: hi<|eot_id|>Assistant: ", template.Render([new Message(Role.User, " hi ")]));
    }

    [SharedTheory]
    [MemberData(nameof(Twins))]
    public void A_directory_gives_the_keys_of_its_twin(string name, string twin)
    {
        Metadata directory = ReadShared(name);
        Metadata gguf = VectorMetadata.Read(SharedData.File("goldens", twin));
        string[] keys = [.. directory.Entries.Concat(gguf.Entries).Select(entry => entry.Key).Where(key => key.StartsWith("tokenizer.", StringComparison.Ordinal)).Distinct()];
        IEnumerable<string> different = keys.Where(key => Describe(directory.Find(key)) != Describe(gguf.Find(key))).Select(key => $"{twin} {key}");
        Assert.Equal(s_differences.Keys.Where(key => key.StartsWith(twin, StringComparison.Ordinal)).Order(StringComparer.Ordinal), different.Order(StringComparer.Ordinal));
    }

    [SharedTheory]
    [MemberData(nameof(VectorTests.VectorNames), MemberType = typeof(VectorTests))]
    public void A_directory_of_a_published_vocabulary_gives_its_ids(string name)
    {
        Metadata gguf = VectorMetadata.Read(SharedData.File("vectors", "tokenizer", name + ".gguf"));
        using ModelDirectory directory = ModelDirectory.From(gguf);
        Metadata metadata = directory.Read();
        Assert.Empty(directory.Warnings);
        Tokenizer tokenizer = Tokenizer.From(metadata, line => Assert.Fail(line));
        Tokenizer? byScores = null;
        if (name == "llama-spm")
        {
            // The scores alone, which is what other programs go by, order the pieces that merging makes as those of the published file do.
            StringTable merges = metadata.Strings("tokenizer.ggml.merges")!;
            HashSet<string> made = [.. Enumerable.Range(0, merges.Count).Select(rank => merges.Text(rank).Replace(" ", "", StringComparison.Ordinal))];
            Assert.True(made.Count > 25_000);
            Assert.Equal(ByScore(gguf, made), ByScore(metadata, made));
            metadata.Set("tern.tokenizer.merges_decide", false);
            byScores = Tokenizer.From(metadata, line => Assert.Fail(line));
        }

        Assert.Equal(Describe(gguf.Find("tokenizer.ggml.tokens")), Describe(metadata.Find("tokenizer.ggml.tokens")));
        Assert.Equal(gguf.Array<int>("tokenizer.ggml.token_type"), metadata.Array<int>("tokenizer.ggml.token_type"));
        Assert.Equal(gguf.String("tokenizer.ggml.pre"), metadata.String("tokenizer.ggml.pre"));
        using JsonDocument json = JsonDocument.Parse(File.ReadAllText(SharedData.File("vectors", "tokenizer", name + ".json")));
        int cases = 0;
        foreach (JsonElement item in json.RootElement.GetProperty("cases").EnumerateArray())
        {
            string text = item.GetProperty("text").GetString()!;
            int[] expected = Ints(item.GetProperty("tokens"));
            Assert.Equal(expected, tokenizer.Encode(text, addSpecial: false));
            Assert.Equal(expected, byScores?.Encode(text, addSpecial: false) ?? expected);
            Assert.Equal(text, tokenizer.Decode(expected));
            cases++;
        }

        Assert.Equal(47, cases);
    }

    [Fact]
    public void Keys_survive_a_gguf_file()
    {
        using ModelDirectory directory = ModelDirectory.SpaceMarks(["▁", "a", "▁a"], [("▁", "a")]);
        directory.Others["generation_config.json"] = new System.Text.Json.Nodes.JsonObject { ["eos_token_id"] = new System.Text.Json.Nodes.JsonArray(2, 0, 259, 260) };
        Metadata metadata = directory.Read();
        metadata.Set("general.architecture", "llama");
        using var folder = new Tern.Tests.Files.TempFolder();
        GgufWriter.Write(folder.File("made.gguf"), metadata, []);
        using GgufFile file = GgufFile.Open(folder.File("made.gguf"));
        foreach (MetadataEntry entry in metadata.Entries)
            Assert.Equal(Describe(entry), Describe(file.Metadata.Find(entry.Key)));
        Tokenizer tokenizer = Tokenizer.From(file.Metadata, line => Assert.Fail(line));
        Assert.Equal([0, 2, 259, 260], tokenizer.StopIds.Order());
        Assert.Equal([1, 261, 260], tokenizer.Encode("aa"));
    }

    private static Metadata ReadShared(string name)
    {
        var metadata = new Metadata(SharedData.File("goldens", name));
        HuggingFaceTokenizer.Read(SharedData.File("goldens", name), 600, metadata, line => Assert.Fail(line));
        return metadata;
    }

    /// <summary>Ids of the pieces that merges make, highest score first.</summary>
    private static IEnumerable<int> ByScore(Metadata metadata, HashSet<string> made)
    {
        float[] scores = metadata.Array<float>("tokenizer.ggml.scores")!;
        StringTable tokens = metadata.Strings("tokenizer.ggml.tokens")!;
        return Enumerable.Range(0, tokens.Count).Where(id => made.Contains(tokens.Text(id))).OrderByDescending(id => scores[id]);
    }

    private static string Describe(MetadataEntry? entry) => entry?.Value switch
    {
        null => "nothing",
        StringTable table => $"{entry.ElementType} " + string.Join('\n', Enumerable.Range(0, table.Count).Select(table.Text)),
        System.Collections.IEnumerable list when entry.Value is not string => $"{entry.ElementType} " + string.Join(' ', list.Cast<object>()),
        _ => $"{entry.Type} {entry.Value}",
    };

    private static int[] Ints(JsonElement array) => [.. array.EnumerateArray().Select(item => item.GetInt32())];
}
