using Tern.Conversion;
using Tern.Files;
using Tern.Numerics;
using Tern.Tests.Cli;
using Tern.Tests.Files;

namespace Tern.Tests.Conversion;

/// <summary>The story model with each defect of published files, mended by the real program to the bytes it had.</summary>
public sealed class DefectTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_missing_pre_tokenizer_is_put_back_where_the_vocabulary_tells_it_or_the_caller_does()
    {
        string broken = Break(metadata => metadata.Where(e => e.Key != "tokenizer.ggml.pre"), TensorSource.From);
        string mended = _folder.File("mended.gguf");
        TernResult result = TernProcess.Run("fix", broken, mended, "--pre", "gpt-2");
        Assert.Equal(0, result.ExitCode);
        Assert.Contains("'tokenizer.ggml.pre' set to 'gpt-2'", result.Output, StringComparison.Ordinal);
        AssertWhole(mended);
    }

    [Theory]
    [InlineData("I2_S_ARM")]
    [InlineData("I2_S_FOUR_ROW")]
    public void Another_arrangement_of_I2_S_is_found_by_trial(string name)
    {
        TernaryType type = name == "I2_S_ARM" ? TensorType.I2SArm : TensorType.I2SFourRow;
        string broken = Break(metadata => metadata, tensor => tensor.Type == TensorType.I2S ? Rearranged(tensor, type) : TensorSource.From(tensor));
        TernResult checkup = TernProcess.Run("inspect", broken, "--validate");
        Assert.Contains("defect: I2_S tensors have", checkup.Output, StringComparison.Ordinal);
        TernResult result = TernProcess.Run("fix", broken, "--in-place");
        Assert.Equal(("", 0), (result.Error, result.ExitCode));
        Assert.Contains("to the canonical arrangement", result.Output, StringComparison.Ordinal);
        AssertWhole(broken);
    }

    [Fact]
    public void A_file_without_defects_is_not_written()
    {
        string output = _folder.File("out.gguf");
        TernResult result = TernProcess.Run("fix", TernProcess.Storyteller, output).AssertSucceeds();
        Assert.Contains("none of the known defects", result.Output, StringComparison.Ordinal);
        Assert.False(File.Exists(output));
    }

    [Fact]
    public void A_model_that_was_given_by_name_is_not_changed_in_place()
    {
        TernResult result = TernProcess.Run("fix", "storyteller", "--in-place");
        result.AssertFails(1, "request");
        Assert.Contains("belongs to tern", result.Error, StringComparison.Ordinal);
    }

    /// <summary>The model runs without a word on standard error afterwards.</summary>
    [SharedFact]
    public void A_mended_2B_4T_file_has_nothing_left_to_warn_of()
    {
        string mended = _folder.File("mended.gguf"), path = Goldens.File("m01-bitnet-b158-i2s");
        Assert.Contains("tokenizer.ggml.pre", TernProcess.Run("run", path, "hello", "-n", "1", "--temp", "0").Error, StringComparison.Ordinal);
        Assert.Equal(0, TernProcess.Run("fix", path, mended).ExitCode);
        TernProcess.Run("run", mended, "hello", "-n", "1", "--temp", "0").AssertSucceeds();
    }

    [SharedFact]
    public void The_first_2B_4T_files_get_pre_tokenizer_template_and_end_of_turn()
    {
        string path = Goldens.File("m01-bitnet-b158-i2s");
        using var source = GgufFile.Open(path);
        IReadOnlyList<Defect> defects = KnownDefects.Of(source);
        Assert.Equal(["tokenizer.ggml.pre", "tokenizer.chat_template", "tokenizer.ggml.eot_token_id"], defects.Select(d => d.Key));
        Metadata mended = KnownDefects.Mend(source.Metadata, defects);
        Assert.Equal("llama-bpe", mended.String("tokenizer.ggml.pre"));
        Assert.DoesNotContain("BITNETAssistant", mended.String("tokenizer.chat_template"), StringComparison.Ordinal);
        Assert.Equal(source.Metadata.Entries.Count + 2, mended.Entries.Count);
        string copy = _folder.File("mended.gguf");
        GgufWriter.Write(copy, mended, [.. source.TensorsInOrder.Select(TensorSource.From)]);
        using var again = GgufFile.Open(copy);
        Assert.Empty(KnownDefects.Of(again));
    }

    [Fact]
    public void The_activation_of_2B_4T_under_the_name_bitnet_is_written_down()
    {
        var metadata = new Metadata("bitnet");
        metadata.Set("general.architecture", "bitnet");
        metadata.Set("bitnet.block_count", 30u);
        metadata.Set("bitnet.feed_forward_length", 6912u);
        string path = _folder.File("bitnet.gguf");
        GgufWriter.Write(path, metadata, []);
        using var source = GgufFile.Open(path);
        Defect defect = Assert.Single(KnownDefects.Of(source));
        Assert.Equal("relu2", KnownDefects.Mend(source.Metadata, [defect]).String("bitnet.hidden_activation"));
    }

    [Fact]
    public void A_broken_scale_is_found_and_the_exit_code_says_so()
    {
        byte[] bytes = File.ReadAllBytes(TernProcess.Storyteller);
        long offset;
        using (var source = GgufFile.Open(TernProcess.Storyteller))
        {
            Tensor tensor = source.TensorsInOrder.First(t => t.Type == TensorType.I2S);
            offset = tensor.FileOffset + tensor.ByteCount - 32;
        }

        BitConverter.GetBytes(float.NaN).CopyTo(bytes, offset);
        TernResult result = TernProcess.Run("inspect", _folder.Write("nan.gguf", bytes), "--validate");
        Assert.Equal(65, result.ExitCode);
        Assert.Contains($"broken: tensor 'blk.0.attn_q.weight' (I2_S): the scale at offset {offset}", result.Output, StringComparison.Ordinal);
    }

    private string Break(Func<IEnumerable<MetadataEntry>, IEnumerable<MetadataEntry>> keys, Func<Tensor, TensorSource> tensors)
    {
        using var source = GgufFile.Open(TernProcess.Storyteller);
        var metadata = new Metadata("broken");
        foreach (MetadataEntry entry in keys(source.Metadata.Entries))
            metadata.TryAdd(entry);
        string path = _folder.File("broken.gguf");
        GgufWriter.Write(path, metadata, [.. source.TensorsInOrder.Select(tensors)]);
        return path;
    }

    private static TensorSource Rearranged(Tensor tensor, TernaryType type) => new(tensor.Name, type, tensor.Shape, stream =>
    {
        var bytes = new byte[tensor.Columns * tensor.Rows / 4];
        type.Pack(RecodingTests.CodesOf(tensor), [], tensor.Columns, bytes);
        stream.Write(bytes);
        stream.Write(tensor.Bytes(bytes.Length, 32));
    });

    private static void AssertWhole(string path) =>
        Assert.True(File.ReadAllBytes(TernProcess.Storyteller).AsSpan().SequenceEqual(File.ReadAllBytes(path)), "the bytes of the story model");
}
