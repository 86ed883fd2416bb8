using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text.Json;
using Tern.Tests.Cli;

namespace Tern.Tests.Hub;

/// <summary>The verbs as people and scripts run them, against a hub on this machine.</summary>
public sealed partial class HubProcessTests
{
    private static readonly FakeFile s_story = new("story-i2_s.gguf", File.ReadAllBytes(TernProcess.Storyteller));

    [Fact]
    public void A_model_is_pulled_listed_shown_run_copied_and_removed()
    {
        using var world = new HubWorld(s_story);

        TernResult pulled = Run(world, "pull", HubWorld.Name);
        string path = pulled.Output.Trim();
        Assert.Equal(0, pulled.ExitCode);
        Assert.Contains("the only GGUF file", pulled.Error, StringComparison.Ordinal);
        Assert.Equal(s_story.Contents, File.ReadAllBytes(path));

        Assert.Equal(path, Run(world, "show", HubWorld.Name, "--path").AssertSucceeds().Output.Trim());
        Assert.Contains(s_story.Sha256, Run(world, "show", HubWorld.Name).AssertSucceeds().Output, StringComparison.Ordinal);
        using (JsonDocument list = JsonDocument.Parse(Run(world, "list", "--json").AssertSucceeds().Output))
        {
            JsonElement model = Assert.Single(list.RootElement.EnumerateArray());
            Assert.Equal((HubWorld.Name, "I2_S", s_story.Contents.Length), (model.GetProperty("name").GetString(), model.GetProperty("type").GetString(), model.GetProperty("bytes").GetInt32()));
        }

        Assert.NotEmpty(Run(world, "tokenize", HubWorld.Name, "Once upon a time").Output);
        Run(world, "cp", HubWorld.Name, "story").AssertSucceeds();
        Run(world, "rm", HubWorld.Name).AssertSucceeds();
        Assert.Equal(0, Run(world, "show", "story", "--verify").ExitCode);
        Assert.Contains("story", Run(world, "list").AssertSucceeds().Output, StringComparison.Ordinal);
        Run(world, "rm", "story").AssertSucceeds();
        Assert.Empty(Directory.EnumerateFiles(world.Store.Layout.Blobs));
        Run(world, "rm", "story").AssertFails(66, "file");
    }

    [Fact]
    public void A_token_from_a_file_may_end_in_a_line_break_and_a_broken_one_is_not_shown()
    {
        using var world = new HubWorld(s_story);
        (string, string)[] With(string token) => [.. world.Variables.Where(v => v.Name != "HF_TOKEN"), ("HF_TOKEN", token)];

        Assert.Equal(0, TernProcess.Run([], ["pull", HubWorld.Name], With("hf_secret\n")).ExitCode);
        Assert.All(world.Hub.Requests, r => Assert.Equal("Bearer hf_secret", r.Header("Authorization")));

        TernResult broken = TernProcess.Run([], ["pull", HubWorld.Name], With("hf_secret\nX-Other: 1"));
        broken.AssertFails(1, "request");
        Assert.DoesNotContain("hf_secret", broken.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Run_pulls_what_it_does_not_have_and_says_so()
    {
        using var world = new HubWorld(s_story);
        string[] prompt = ["--raw", "--ignore-eos", "-n", "4", "--temp", "0"];

        TernResult offline = Run(world, ["run", HubWorld.Name, "Once", .. prompt, "--offline"]);
        offline.AssertFails(66, "file");
        Assert.Empty(world.Hub.Requests);

        TernResult result = Run(world, ["run", HubWorld.Name, "Once", .. prompt]);
        Assert.Equal(0, result.ExitCode);
        Assert.NotEmpty(result.Output);
        Assert.Contains("pulling it", result.Error, StringComparison.Ordinal);

        Run(world, ["run", HubWorld.Name, "Once", .. prompt, "--offline"]).AssertSucceeds();
    }

    [Theory]
    [InlineData("inspect owner/absent", "tern pull owner/absent")]
    [InlineData("inspect bonsai-8b", "tern pull bonsai-8b")]
    [InlineData("inspect bonsai-9b", "did you mean 'bonsai-")]
    [InlineData("run bonsaii-8b hello", "did you mean 'bonsai-8b'")]
    [InlineData("run absent/model.gguf", "absent/model.gguf")]
    [InlineData("show storytelle", "tern list")]
    public void Other_verbs_say_what_to_pull_and_which_names_are_near(string line, string expected)
    {
        using var world = new HubWorld(s_story);

        TernResult result = Run(world, line.Split(' '));

        result.AssertFails(66, "file");
        Assert.Contains(expected, result.Error, StringComparison.Ordinal);
        Assert.Empty(world.Hub.Requests);
    }

    [Theory]
    [InlineData("pull nothing-like-it", 1, "request")]
    [InlineData("pull owner/absent", 66, "file")]
    [InlineData("pull", 64, "usage")]
    [InlineData("rm", 64, "usage")]
    [InlineData("cp owner/absent x", 66, "file")]
    [InlineData("import absent.gguf", 66, "file")]
    [InlineData("list --available --partial", 64, "usage")]
    public void What_cannot_be_done_is_one_line_and_an_exit_code(string line, int exitCode, string kind)
    {
        using var world = new HubWorld(s_story);

        Run(world, line.Split(' ')).AssertFails(exitCode, kind);
    }

    [Fact]
    public async Task Two_pulls_of_one_model_share_the_work()
    {
        FakeFile file = new("model.safetensors", FakeHub.RandomBytes(21, 3_000_000));
        FakeFile config = new("config.json", "{}"u8.ToArray(), IsLarge: false);
        using var world = new HubWorld(config, file);
        world.Hub.Misbehave = (request, answer) => request.Header("Range") is null ? null : answer() with { Drip = (50_000, TimeSpan.FromMilliseconds(20)) };
        Process[] pulls = [.. Enumerable.Range(0, 2).Select(_ => TernProcess.Start(["pull", HubWorld.Name], world.Variables))];

        string said = "";
        foreach (Process pull in pulls)
        {
            using (pull)
            {
                Task<string> output = pull.StandardOutput.ReadToEndAsync();
                string error = await pull.StandardError.ReadToEndAsync();
                await pull.WaitForExitAsync();
                Assert.True(pull.ExitCode == 0, error);
                Assert.NotEmpty(await output);
                said += error;
            }
        }

        world.AssertHas(config, file);
        Assert.Equal(file.Contents.Length + config.Contents.Length, world.Hub.BodyBytes);
        Assert.Contains("another process downloads it", said, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Ctrl_C_leaves_a_download_that_goes_on()
    {
        if (OperatingSystem.IsWindows())
            return;
        FakeFile file = new("model-I2_S.gguf", FakeHub.RandomBytes(22, 2_000_000));
        using var world = new HubWorld(file);
        world.Hub.Misbehave = (request, answer) => request.Header("Range") is null ? null : answer() with { Drip = (20_000, TimeSpan.FromMilliseconds(20)) };
        using (Process pull = TernProcess.Start(["pull", HubWorld.Name], world.Variables))
        {
            Task<string> error = pull.StandardError.ReadToEndAsync();
            Assert.True(SpinWait.SpinUntil(() => world.Hub.BodyBytes > 400_000, TimeSpan.FromSeconds(60)), "the download did not begin");
            Assert.Equal(0, Kill(pull.Id, 2));
            await pull.WaitForExitAsync();
            Assert.Equal(130, pull.ExitCode);
            Assert.Contains("goes on", await error, StringComparison.Ordinal);
        }

        Assert.Null(world.Store.Find(HubWorld.Name));
        Assert.Contains("unfinished download", Run(world, "list", "--partial").AssertSucceeds().Output, StringComparison.Ordinal);
        long before = world.Hub.BodyBytes;
        world.Hub.Misbehave = null;
        world.Pull();

        world.AssertHas(file);

        // What was on its way when the signal came is lost: a buffer or so of each stream.
        Assert.InRange(world.Hub.BodyBytes, file.Contents.Length, file.Contents.Length + 800_000);
        Assert.True(world.Hub.BodyBytes - before < file.Contents.Length);
    }

    [Fact]
    public void A_proxy_is_used_where_the_environment_names_one()
    {
        using var world = new HubWorld(s_story);
        (string, string)[] variables = [.. world.Variables, ("TERN_HUB", "http://hub.invalid"), ("http_proxy", world.Hub.Address.AbsoluteUri)];

        TernResult result = TernProcess.Run([], ["pull", HubWorld.Name], variables);

        Assert.True(result.ExitCode == 0, result.Error);
        world.AssertHas(s_story);
        Assert.All(world.Hub.Requests, r => Assert.Equal("hub.invalid", r.Header("Host")));
    }

    [TerminalFact]
    public void A_person_at_a_terminal_sees_a_bar_and_the_path()
    {
        using var world = new HubWorld(s_story);
        world.Hub.Misbehave = (request, answer) => request.Header("Range") is null ? null : answer() with { Drip = (50_000, TimeSpan.FromMilliseconds(20)) };

        (int exitCode, string output) = PseudoTerminal.Run($"'{TernProcess.Executable}' pull {HubWorld.Name}", world.Variables);

        Assert.True(exitCode == 0, output);
        Assert.Contains("story-i2_s.gguf", output, StringComparison.Ordinal);
        Assert.Contains("MB", output, StringComparison.Ordinal);
        Assert.Contains("\u001b[", output, StringComparison.Ordinal);
        world.AssertHas(s_story);
    }

    [SmallDiskFact]
    public void A_disk_that_is_full_leaves_no_model_and_a_download_that_goes_on()
    {
        FakeFile file = new("model-I2_S.gguf", FakeHub.RandomBytes(23, 3_000_000));
        using var world = new HubWorld(file);
        world.Hub.Misbehave = (request, answer) => request.Header("Range") is null ? null : answer() with { Drip = (20_000, TimeSpan.FromMilliseconds(20)) };
        string disk = Directory.CreateDirectory(Path.Combine(world.Folder, "disk")).FullName;
        string pull = $"TERN_MODELS={disk} '{TernProcess.Executable}' pull {HubWorld.Name}";

        // Too small from the start; then large enough until somebody else fills it midway; then large enough.
        (int exitCode, string output, string error) = SmallDisk.Run(
            $"""
            mount -t tmpfs -o size=1m none {disk}
            {pull}; echo "code $?"
            mount -o remount,size=4m {disk}
            {pull} & pid=$!
            while ! ls {disk}/blobs/*.tern-partial >/dev/null 2>&1; do sleep 0.02; done
            sleep 0.1
            head -c 9000000 /dev/zero > {disk}/filler 2>/dev/null
            wait $pid; echo "code $?"
            find {disk}/manifests -name '*.json' 2>/dev/null
            rm {disk}/filler
            {pull}; echo "code $?"
            sha256sum {disk}/blobs/sha256-*
            """,
            world.Variables);

        Assert.True(exitCode == 0, error);
        string[] lines = output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(["code 66", "code 66"], lines[..2]);
        Assert.Equal("code 0", lines[3]);
        Assert.StartsWith(file.Sha256, lines[4], StringComparison.Ordinal);
        Assert.Contains("the disk is too full: 3000000 bytes (3.00 MB) are needed", error, StringComparison.Ordinal);
        Assert.Contains("cannot be written", error, StringComparison.Ordinal);
    }

    private static TernResult Run(HubWorld world, params string[] arguments) => TernProcess.Run([], arguments, world.Variables);

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int process, int signal);
}
