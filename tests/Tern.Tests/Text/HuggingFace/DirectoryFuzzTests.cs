using System.Diagnostics;
using System.Text;
using System.Text.Json.Nodes;
using Tern.Files;
using Tern.Text;
using Tern.Text.Templates;

namespace Tern.Tests.Text.HuggingFace;

/// <summary>Seeded damage to good files: either they load or a <see cref="TernException"/> says why not, quickly.</summary>
public sealed class DirectoryFuzzTests
{
    private const int Rounds = 500;

    private static readonly JsonNode?[] s_values =
    [
        null, true, -1, 0, 1e300, 4_000_000_000, long.MaxValue, 0.5, "", " ", "▁", "\0", "<end>", "BPE", "Sequence", new string('(', 3000), new JsonArray(), new JsonObject(),
        new JsonArray(1, "a", null), new JsonObject { ["type"] = "Sequence", ["pretokenizers"] = new JsonArray() }, new JsonObject { ["content"] = 1 },
    ];

    [Theory]
    [InlineData(1, true)]
    [InlineData(2, false)]
    public void Damaged_bytes_never_crash(int seed, bool byteLevel)
    {
        using ModelDirectory directory = Make(byteLevel);
        byte[] good = directory.TokenizerBytes();
        var random = new Random(seed);
        int refused = 0;
        for (int round = 0; round < Rounds; round++)
        {
            byte[] bytes = [.. good];
            for (int flips = random.Next(1, 4); flips > 0; flips--)
                bytes[random.Next(bytes.Length)] = random.Next(3) == 0 ? (byte)random.Next(256) : (byte)"\"{}[],:0-e\\"[random.Next(11)];
            if (random.Next(4) == 0)
                bytes = bytes[..random.Next(bytes.Length)];
            directory.Write("tokenizer.json", bytes);
            refused += Try(directory, $"seed {seed}, round {round}") ? 0 : 1;
        }

        Assert.InRange(refused, Rounds / 4, Rounds - 1);
    }

    [Theory]
    [InlineData(3, true)]
    [InlineData(4, false)]
    public void Replaced_values_never_crash(int seed, bool byteLevel)
    {
        using ModelDirectory directory = Make(byteLevel);
        byte[] good = directory.TokenizerBytes();
        var others = directory.Others.ToDictionary(file => file.Key, file => file.Value.DeepClone());
        var random = new Random(seed);
        int refused = 0;
        for (int round = 0; round < Rounds; round++)
        {
            JsonNode root = JsonNode.Parse(good)!;
            foreach ((string name, JsonNode content) in others)
                directory.Others[name] = content.DeepClone();
            Replace(random.Next(3) == 0 ? directory.Others.Values.ElementAt(random.Next(others.Count)) : root, random);
            directory.Write("tokenizer.json", Encoding.UTF8.GetBytes(root.ToJsonString()));
            refused += Try(directory, $"seed {seed}, round {round}") ? 0 : 1;
        }

        Assert.InRange(refused, Rounds / 10, Rounds - 1);
    }

    /// <summary>
    /// Time stays in proportion to the size: 200,000 tokens, as many merges, a pattern of two million characters. They take half a second; a search
    /// through all tokens for each of them would take minutes.
    /// </summary>
    [Fact]
    public void Large_files_are_read_in_linear_time()
    {
        using ModelDirectory directory = ModelDirectory.ByteLevel();
        directory.Rows = 200_000;
        for (int id = 264; id < directory.Rows; id++)
            directory.Vocabulary["x" + id] = id;
        var merges = new JsonArray();
        for (int rank = 0; rank < 200_000; rank++)
            merges.Add("t h");
        directory.Model["merges"] = merges;
        directory.Tokenizer["pre_tokenizer"] = ModelDirectory.Pre(ModelDirectory.Split(new string('(', 1 << 20) + "a" + new string(')', 1 << 20)), ModelDirectory.Bytes(false));
        directory.Write("tokenizer.json", directory.TokenizerBytes());
        long start = Stopwatch.GetTimestamp();
        Assert.Equal(ErrorKind.Unsupported, Assert.Throws<TernException>(() => directory.ReadAsIs()).Kind);
        directory.ReadAsIs(preTokenizer: "llama3");
        Assert.True(Stopwatch.GetElapsedTime(start).TotalSeconds < 30, $"{Stopwatch.GetElapsedTime(start)}");
    }

    private static ModelDirectory Make(bool byteLevel)
    {
        ModelDirectory directory = byteLevel ? ModelDirectory.ByteLevel() : ModelDirectory.SpaceMarks(["▁", "a", "b", "▁a", "ab", "▁ab"], [("▁", "a"), ("a", "b"), ("▁a", "b")]);
        directory.Others["generation_config.json"] = new JsonObject { ["eos_token_id"] = new JsonArray(2, 1) };
        directory.Others["special_tokens_map.json"] = new JsonObject { ["pad_token"] = new JsonObject { ["content"] = "<end>" } };
        directory.Others["config.json"] = new JsonObject { ["pad_token_id"] = 0 };
        directory.Others["added_tokens.json"] = new JsonObject { ["<x>"] = 266 };
        directory.Others["tokenizer_config.json"]["chat_template"] = new JsonArray(new JsonObject { ["name"] = "default", ["template"] = "{{ 1 }}" });
        directory.Others["tokenizer_config.json"]["added_tokens_decoder"] = new JsonObject { ["267"] = new JsonObject { ["content"] = "<y>", ["special"] = true } };
        directory.Rows = 270;
        directory.Read();
        return directory;
    }

    /// <summary>Reads, loads and uses what was read; false when it was refused.</summary>
    private static bool Try(ModelDirectory directory, string name)
    {
        long start = Stopwatch.GetTimestamp();
        try
        {
            Metadata metadata = directory.ReadAsIs();
            Tokenizer tokenizer = Tokenizer.From(metadata, _ => { });
            tokenizer.Decode(tokenizer.Encode("the abab <end> \u00e9", parseSpecial: true), special: true);
            ChatTemplate.From(metadata, tokenizer, _ => { });
            return true;
        }
        catch (TernException e)
        {
            Assert.NotEmpty(e.Message);
            return false;
        }
        finally
        {
            Assert.True(Stopwatch.GetElapsedTime(start).TotalSeconds < 5, name);
        }
    }

    /// <summary>Replaces, removes or adds one value somewhere below a node; the larger lists are entered no more often than the others.</summary>
    private static void Replace(JsonNode node, Random random)
    {
        while (true)
        {
            JsonNode?[] children = node is JsonObject o ? [.. o.Select(field => field.Value)] : [.. node.AsArray()];
            int index = children.Length == 0 ? -1 : random.Next(children.Length);
            if (index >= 0 && children[index] is JsonObject or JsonArray && random.Next(4) != 0)
            {
                node = children[index]!;
                continue;
            }

            JsonNode? value = s_values[random.Next(s_values.Length)]?.DeepClone();
            if (node is JsonArray array)
            {
                if (index < 0)
                    array.Add(value);
                else
                    array[index] = value;
            }
            else
            {
                JsonObject fields = node.AsObject();
                string name = index < 0 ? "x" : fields.ElementAt(index).Key;
                if (random.Next(4) == 0)
                    fields.Remove(name);
                else
                    fields[name] = value;
            }

            return;
        }
    }
}
