using System.Diagnostics;
using System.Globalization;
using Tern.Hub;
using Tern.Tests.Cli;
using Xunit.Abstractions;

namespace Tern.Tests.Hub;

/// <summary>
/// <c>tern pull</c> and <c>tern import</c>, killed all over their run: under the model's name stands the old model, none, or the right one,
/// and the next pull succeeds. TERN_KILL_POINTS sets how many points; few by default, because each costs the start of a process.
/// </summary>
public sealed class KillTests(ITestOutputHelper output)
{
    private const int PointsByDefault = 24;

    private static readonly FakeFile[] s_old = [new("config.json", "{\"v\":1}"u8.ToArray(), IsLarge: false), new("model.safetensors", FakeHub.RandomBytes(11, 3_000))];

    private static readonly FakeFile[] s_new =
    [
        new("config.json", "{\"v\":2}"u8.ToArray(), IsLarge: false),
        new("model-00001-of-00002.safetensors", FakeHub.RandomBytes(12, 2_000_000)),
        new("model-00002-of-00002.safetensors", FakeHub.RandomBytes(13, 1_500_000)),
        new("model.safetensors.index.json", "{\"weight_map\":{}}"u8.ToArray(), IsLarge: false),
        new("tokenizer.json", "{\"t\":1}"u8.ToArray(), IsLarge: false),
    ];

    [KillPointFact]
    public void A_pull_that_is_killed_anywhere_leaves_nothing_wrong()
    {
        int wanted = Wanted;
        IReadOnlyList<KillPoint> points;
        using (var world = new HubWorld(s_new))
            points = KillPoints.Find(Command(world, "pull", HubWorld.Name, "--streams", "2"), (wanted + 1) / 2);

        // Every point in an empty store and in one that has an old model.
        (KillPoint Point, bool Update)[] cases = [.. points.SelectMany(p => new[] { (p, false), (p, true) })];
        Assert.True(cases.Length >= PointsByDefault, $"only {cases.Length} cases");

        int killed = 0;
        Parallel.ForEach(cases, new ParallelOptions { MaxDegreeOfParallelism = 2 }, @case =>
        {
            (KillPoint point, bool update) = @case;
            using var world = new HubWorld(update ? s_old : s_new);
            if (update)
            {
                world.Pull();
                world.Hub.Repositories[HubWorld.Name] = s_new;
            }

            if (KillPoints.Kill(Command(world, "pull", HubWorld.Name, "--streams", "2"), point))
                Interlocked.Increment(ref killed);

            // What the killed process has got is not sent again, but for what it had not written down yet.
            Check(world, update);
            world.Pull();
            world.AssertHas(s_new);
            StoreLeftovers.Delete(world.Store, Assert.Fail, CancellationToken.None);
            Assert.Empty(world.Unfinished());
            world.AssertHas(s_new);
        });
        output.WriteLine($"pull: {killed} of {cases.Length} runs were killed");
        // Threads share the work differently from run to run, so that not every run comes to its point.
        Assert.True(killed >= cases.Length / 2, $"only {killed} of {cases.Length} runs were killed");
    }

    [KillPointFact]
    public void An_import_that_is_killed_anywhere_leaves_nothing_that_looks_finished()
    {
        IReadOnlyList<KillPoint> points;
        using (var world = new HubWorld())
            points = KillPoints.Find(Command(world, "import", TernProcess.Storyteller, "--name", "story"), Wanted / 2);

        int killed = 0;
        byte[] expected = File.ReadAllBytes(TernProcess.Storyteller);
        Parallel.For(0, points.Count, new ParallelOptions { MaxDegreeOfParallelism = 2 }, i =>
        {
            using var world = new HubWorld();
            ProcessStartInfo command = Command(world, "import", TernProcess.Storyteller, "--name", "story");
            if (KillPoints.Kill(command, points[i]))
                Interlocked.Increment(ref killed);
            if (world.Store.Find("story") is { } found)
                Assert.Equal(expected, File.ReadAllBytes(world.Store.PathOf(found)));

            new Importer(world.Settings, world.Store, new TransferProgress(), world.Said.Add).Import(TernProcess.Storyteller, ModelName.TryStored("story"), link: false, CancellationToken.None);
            Assert.Equal(expected, File.ReadAllBytes(world.Store.PathOf(world.Store.Find("story")!)));
            StoreLeftovers.Delete(world.Store, Assert.Fail, CancellationToken.None);
            Assert.Single(Directory.EnumerateFiles(world.Store.Layout.Blobs));
        });
        output.WriteLine($"import: {killed} of {points.Count} runs were killed");
        Assert.True(killed >= points.Count / 2, $"only {killed} of {points.Count} runs were killed");
    }

    private static int Wanted =>
        int.TryParse(Environment.GetEnvironmentVariable("TERN_KILL_POINTS"), NumberStyles.None, CultureInfo.InvariantCulture, out int points) ? points : PointsByDefault;

    private static void Check(HubWorld world, bool update)
    {
        if (world.Store.Find(HubWorld.Name) is not { } model)
        {
            Assert.False(update, "the old model is gone");
            return;
        }

        world.AssertHas(update && model.Manifest.Files.Count == s_old.Length ? s_old : s_new);
    }

    private static ProcessStartInfo Command(HubWorld world, params string[] arguments)
    {
        var start = new ProcessStartInfo(TernProcess.Executable, arguments);
        foreach ((string name, string value) in world.Variables)
            start.Environment[name] = value;

        // Nothing is run for long enough that better code would pay.
        start.Environment["DOTNET_TieredPGO"] = "0";
        start.Environment["DOTNET_TC_QuickJitForLoops"] = "1";
        return start;
    }
}
