using Tern.Files;
using Tern.Machine;
using Tern.Training.Checkpoints;

namespace Tern.Training.Runs;

/// <summary>What a teacher will take of the memory beside its student.</summary>
/// <param name="Shape">Its dimensions.</param>
/// <param name="Bytes">Its weights, packed and not, and its workspace; 0 when it is there anyway.</param>
internal readonly record struct TeacherMemory(ModelShape Shape, long Bytes);

/// <summary>The teacher of a run, read when it is first asked for, so that memory can be looked at before any is taken.</summary>
internal sealed class TeacherModel : IDisposable
{
    private readonly Func<Trainer> _read;
    private readonly bool _isOwn;
    private Trainer? _trainer;

    private TeacherModel(TeacherMemory memory, bool isOwn, Func<Trainer> read) => (Memory, _isOwn, _read) = (memory, isOwn, read);

    public TeacherMemory Memory { get; }

    public Trainer Trainer => _trainer ??= _read();

    /// <summary>The teacher that the settings name, or null.</summary>
    /// <param name="settings">The run's.</param>
    /// <param name="tokenizer">The file with the run's tokenizer.</param>
    /// <param name="pool">Workers.</param>
    /// <exception cref="TernException">It is no model that can teach, or has other tokens.</exception>
    public static TeacherModel? Find(RunSettings settings, string tokenizer, WorkerPool pool)
    {
        if (settings.Teacher is not { } path)
            return null;
        if (TokensOf(path) is { } theirs)
            TokenizerSource.CheckSame(TokenizerSource.OfModel(tokenizer), path, theirs);
        int tokens = TokenBatch.Count(RunPlan.MicroSequences(settings), settings.Context);
        if (path.EndsWith(".tern", StringComparison.OrdinalIgnoreCase))
        {
            // A checkpoint comes with its moments. Whoever taught it is not needed any more.
            CheckpointHeader header = Trainer.Describe(path);
            long bytes = Trainer.MemoryNeeded(header.Shape, header.Recipe, RunPlan.MicroSequences(settings), settings.Context, pool.Threads);
            return new TeacherModel(new TeacherMemory(header.Shape, bytes), isOwn: true, () => Trainer.Load(path, pool, null, recipe => recipe with { Distillation = null }, out _));
        }

        ModelShape shape = Trainer.ShapeOf(path, settings.Context, subNorms: null);
        var recipe = new TrainingRecipe { Linear = new Quantizer { Precision = LinearPrecision.Full } };
        long needed = Trainer.MemoryNeededToTeach(shape, tokens, pool.Threads);
        return new TeacherModel(new TeacherMemory(shape, needed), isOwn: true, () => Trainer.From(path, shape, recipe, settings.Seed, pool, null));
    }

    /// <summary>A trainer that is there anyway, which stays its owner's.</summary>
    public static TeacherModel Of(Trainer trainer) => new(new TeacherMemory(trainer.Shape, 0), isOwn: false, () => trainer);

    /// <summary>The keys of a teacher's tokenizer; of a checkpoint those in its run folder, or null where they are gone.</summary>
    private static Metadata? TokensOf(string path)
    {
        if (path.EndsWith(".tern", StringComparison.OrdinalIgnoreCase))
        {
            string? run = Path.GetDirectoryName(Path.GetDirectoryName(Path.GetFullPath(path)));
            path = Path.Combine(run ?? "", "tokenizer.gguf");
            if (!File.Exists(path))
                return null;
        }

        return TokenizerSource.OfModel(path);
    }

    public void Dispose()
    {
        if (_isOwn)
            _trainer?.Dispose();
    }
}
