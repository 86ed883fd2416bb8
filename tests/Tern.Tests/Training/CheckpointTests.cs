using System.Buffers.Binary;
using System.Text;
using Tern.Machine;
using Tern.Tests.Files;
using Tern.Training;
using Tern.Training.Checkpoints;

namespace Tern.Tests.Training;

/// <summary>A checkpoint with any damage is refused with one sentence that names the file and the place.</summary>
public sealed class CheckpointTests : IDisposable
{
    private const int Start = 16;

    private readonly TempFolder _folder = new();
    private readonly WorkerPool _pool = TinyModels.Pool(1);
    private readonly byte[] _whole;

    public CheckpointTests()
    {
        using var trainer = new Trainer(TinyModels.BitNet, TinyModels.Recipe(LinearPrecision.Ternary), 9, _pool, null);
        TinyModels.Train(trainer, 1, firstSeed: 0);
        string path = _folder.File("whole");
        trainer.Save(path, [7, 8, 9]);
        _whole = File.ReadAllBytes(path);
    }

    [Fact]
    public void The_head_alone_tells_shape_recipe_and_step()
    {
        CheckpointHeader header = Trainer.Describe(_folder.File("whole"));
        Assert.Equal(TinyModels.BitNet, header.Shape);
        Assert.Equal(TinyModels.Recipe(LinearPrecision.Ternary), header.Recipe);
        Assert.Equal((9ul, 1), (header.Seed, header.StepsDone));
    }

    [Fact]
    public void A_changed_byte_anywhere_is_refused()
    {
        // Every byte of the fixed part and the header, then every so often through arrays and hash.
        int header = BinaryPrimitives.ReadInt32LittleEndian(_whole.AsSpan(12));
        int step = Math.Max(1, (_whole.Length - Start - header) / 40);
        IEnumerable<int> places = Enumerable.Range(0, Start).Concat(Enumerable.Range(Start, header).Where(i => i % 7 == 0))
            .Concat(Enumerable.Range(0, 40).Select(i => Start + header + (i * step))).Append(_whole.Length - 1);
        foreach (int place in places)
        {
            byte[] damaged = (byte[])_whole.Clone();
            damaged[place] ^= 0x11;
            Refused(damaged, $"byte {place}");
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(15)]
    [InlineData(47)]
    [InlineData(300)]
    [InlineData(100_000)]
    public void A_truncated_file_is_refused(int length) => Refused(_whole[..length], $"{length} bytes");

    [Fact]
    public void Bytes_behind_the_end_are_refused() => Refused([.. _whole, 0], "one more byte");

    [Theory]
    [InlineData("\"layers\":2", "\"layers\":-2")]
    [InlineData("\"layers\":2", "\"layers\":999999")]
    [InlineData("\"hidden\":64", "\"hidden\":63")]
    [InlineData("\"kvHeads\":2", "\"kvHeads\":3")]
    [InlineData("\"vocabulary\":96", "\"vocabulary\":2147483647")]
    [InlineData("\"precision\":\"Ternary\"", "\"precision\":\"Quinary\"")]
    [InlineData("\"beta1\":0.9", "\"beta1\":9")]
    [InlineData("\"arrays\":3", "\"arrays\":4")]
    [InlineData("\"stepsDone\":1", "\"stepsDone\":-1")]
    [InlineData("\"dataBytes\":3", "\"dataBytes\":-3")]
    [InlineData("\"dataBytes\":3", "\"dataBytes\":300")]
    [InlineData("\"seed\":9,", "")]
    [InlineData("\"seed\":9", "\"seed\":9,\"sneed\":9")]
    [InlineData("\"shape\":{", "\"shape\":null,\"x\":{")]
    public void A_header_that_cannot_be_is_refused(string found, string replacement)
    {
        int length = BinaryPrimitives.ReadInt32LittleEndian(_whole.AsSpan(12));
        string json = Encoding.UTF8.GetString(_whole, Start, length);
        Assert.Contains(found, json, StringComparison.Ordinal);
        byte[] changed = Encoding.UTF8.GetBytes(json.Replace(found, replacement, StringComparison.Ordinal));
        byte[] file = [.. _whole.AsSpan(0, Start), .. changed, .. _whole.AsSpan(Start + length)];
        BinaryPrimitives.WriteInt32LittleEndian(file.AsSpan(12), changed.Length);
        Refused(file, replacement);
    }

    [Fact]
    public void A_missing_file_is_one_error() =>
        Assert.Throws<TernException>(() => Trainer.Load(_folder.File("absent"), _pool, null, out _));

    public void Dispose()
    {
        _pool.Dispose();
        _folder.Dispose();
    }

    private void Refused(byte[] bytes, string what)
    {
        string path = _folder.Write("damaged", bytes);
        TernException error = Assert.Throws<TernException>(() =>
        {
            Trainer.Load(path, _pool, null, out _).Dispose();
            Assert.Fail($"{what} was taken");
        });
        Assert.StartsWith(path, error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', error.Message);
    }
}
